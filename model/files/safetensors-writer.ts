export interface WritableTensor {
  readonly name: string;
  /** Row-major, slowest dimension first. */
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/**
 * The content of a safetensors file of 32-bit floats, piece by piece.
 * @param metadata free-form, in the header
 */
export function* safetensorsChunks(
  tensors: readonly WritableTensor[],
  metadata: Readonly<Record<string, string>>,
): Generator<Uint8Array> {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const { name, shape, data } of tensors) {
    const end = offset + data.byteLength;
    header[name] = { dtype: "F32", shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = JSON.stringify(header);
  // Spaces up to a multiple of 8 bytes, so that the tensors are aligned.
  const padding = " ".repeat((8 - (Buffer.byteLength(json) % 8)) % 8);
  const text = Buffer.from(json + padding);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  yield length;
  yield text;
  for (const { data } of tensors) {
    yield new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
}
