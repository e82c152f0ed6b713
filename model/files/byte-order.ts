import type { TensorEncoding } from "./tensor-encoding.ts";

/** The encoding with the bytes of its numbers the other way round. */
export function otherByteOrder(encoding: TensorEncoding): TensorEncoding {
  const { blockBytes, numbers } = encoding;
  return {
    ...encoding,
    blocks: undefined,
    decode(bytes, out) {
      const end = (out.length / encoding.blockValues) * blockBytes;
      for (let block = 0; block < end; block += blockBytes) {
        for (const offset of numbers.offsets) {
          bytes.subarray(block + offset, block + offset + numbers.sizeBytes).reverse();
        }
      }
      encoding.decode(bytes, out);
    },
  };
}
