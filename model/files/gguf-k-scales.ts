/**
 * Unpacks the eight 6-bit scales and eight 6-bit minimums that Q4_K and Q5_K pack into 12 bytes:
 * groups 0 to 3 in the low six bits of bytes 0 to 3 (scales) and 4 to 7 (minimums), groups 4 to 7 in
 * the nibbles of bytes 8 to 11 and the top two bits of the others.
 */
export function unpackScales(
  bytes: Uint8Array,
  at: number,
  scales: Uint8Array,
  mins: Uint8Array,
): void {
  for (let j = 0; j < 4; j++) {
    const scale = bytes[at + j]!;
    const min = bytes[at + 4 + j]!;
    const nibbles = bytes[at + 8 + j]!;
    scales[j] = scale & 63;
    mins[j] = min & 63;
    scales[4 + j] = (nibbles & 15) | ((scale >> 6) << 4);
    mins[4 + j] = (nibbles >> 4) | ((min >> 6) << 4);
  }
}
