import type { EncodeTextOptions, TextCodec } from "./codec.ts";

/**
 * Texts, and token ids as they are, in order.
 * @throws TooManyTokensError, and what the background throws
 */
export async function encodeInputs(
  inputs: readonly (string | readonly number[])[],
  codec: Pick<TextCodec, "encodeTexts">,
  options: EncodeTextOptions,
): Promise<Uint32Array[]> {
  const texts = inputs.filter((input) => typeof input === "string");
  const encoded = (await codec.encodeTexts(texts, options)).values();
  return inputs.map((input) =>
    typeof input === "string" ? encoded.next().value! : toTokenIds(input),
  );
}

/** Ids beyond 32 bits stay outside every vocabulary instead of wrapping round into it. */
function toTokenIds(ids: readonly number[]): Uint32Array {
  return Uint32Array.from(ids, (id) => Math.min(id, 0xffff_ffff));
}
