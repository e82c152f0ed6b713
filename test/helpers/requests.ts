import { greedy } from "../../engine/sequence/sampler.ts";
import type { GenerateRequest, SamplingParams } from "../../engine/contract/request.ts";
import type { RoutingRequest } from "../../engine/contract/routing.ts";
import type { TokenTable } from "../../model/text/token-table.ts";

export { greedy };

export interface RequestOptions {
  readonly maxTokens?: number;
  readonly sampling?: Partial<SamplingParams>;
  readonly stop?: readonly string[];
  readonly ignoreEos?: boolean;
  readonly routing?: RoutingRequest;
  /** What few requests say. */
  readonly more?: Partial<GenerateRequest>;
}

/** Greedy, 16 tokens, whatever they are, unless `options` says otherwise. */
export function requestFor(
  id: string,
  promptTokenIds: ArrayLike<number>,
  options: RequestOptions = {},
): GenerateRequest {
  return {
    id,
    promptTokenIds: Uint32Array.from(promptTokenIds),
    maxTokens: options.maxTokens ?? 16,
    sampling: { ...greedy, ...options.sampling },
    stop: options.stop ?? [],
    ignoreEos: options.ignoreEos ?? true,
    ...(options.routing && { routing: options.routing }),
    ...options.more,
  };
}

/** Token 7 reads `7 `: the text tells the tokens, see `tokenIdsOf`. */
export function numberedTokens(vocabSize: number, eosTokenIds: readonly number[] = []): TokenTable {
  const texts = Array.from({ length: vocabSize }, (_, id) => Buffer.from(`${id} `));
  const offsets = new Uint32Array(vocabSize + 1);
  for (const [id, text] of texts.entries()) offsets[id + 1] = offsets[id]! + text.length;
  const bytes = new Uint8Array(Buffer.concat(texts));
  return {
    bytes,
    offsets,
    control: new Uint8Array(vocabSize),
    controlTexts: new Map(),
    eosTokenIds,
  };
}

/** The tokens of a text made with `numberedTokens`. */
export function tokenIdsOf(text: string): number[] {
  return text.split(" ").slice(0, -1).map(Number);
}

/** Some tokens that look random; other seeds give others. */
export function somePrompt(length: number, seed = 1, vocabSize = 256): number[] {
  return Array.from({ length }, (_, i) => (i * i * 7 + i * 37 + seed * 101 + 11) % vocabSize);
}
