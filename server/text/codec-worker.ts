import { move, transferableSymbol, valueSymbol, workerData } from "piscina";
import { ChatTemplateError, TooManyTokensError } from "../../model/errors.ts";
import { openTokenizer } from "../../model/weights/open-model.ts";
import { ModelCodec } from "./model-codec.ts";

/** Of the model whose path the thread was given. */
const codec = new ModelCodec(openTokenizer(workerData as string));

/** What is expected to fail comes back as a value: of what is thrown only the message would. */
export type Outcome<T> =
  { readonly value: T } | { readonly refusal: string } | { readonly numTokens: number };

/** A thread of the background has started, and has the tokenizer. */
export function ready(): void {
  // There is nothing else to do.
}

export function encodeChat(
  input: Parameters<ModelCodec["encodeChat"]>,
): Outcome<ReturnType<ModelCodec["encodeChat"]>> {
  return outcome(
    () => codec.encodeChat(...input),
    ({ tokenIds }) => [tokenIds],
  );
}

export function encodeTexts(
  input: Parameters<ModelCodec["encodeTexts"]>,
): Outcome<ReturnType<ModelCodec["encodeTexts"]>> {
  return outcome(
    () => codec.encodeTexts(...input),
    (encoded) => encoded,
  );
}

export function renderChat(input: Parameters<ModelCodec["renderChat"]>): Outcome<string> {
  return outcome(
    () => codec.renderChat(...input),
    () => [],
  );
}

/** @param arraysOf - what of the value is handed over instead of copied */
function outcome<T>(run: () => T, arraysOf: (value: T) => readonly Uint32Array[]): Outcome<T> {
  try {
    const value = run();
    return handOver({ value }, arraysOf(value));
  } catch (error) {
    if (error instanceof ChatTemplateError) return { refusal: error.message };
    if (error instanceof TooManyTokensError) return { numTokens: error.numTokens };
    throw error;
  }
}

/** What the library takes for a message with a list of what goes over with it; the other side gets `message`. */
function handOver<T extends object>(message: T, arrays: readonly Uint32Array[]): T {
  const moved = {
    [transferableSymbol]: arrays.map(({ buffer }) => buffer),
    [valueSymbol]: message,
  };
  return move(moved) as unknown as T;
}
