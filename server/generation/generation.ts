import type { Automaton } from "../../engine/contract/automaton.ts";
import type { LogprobsParams } from "../../engine/contract/logprobs.ts";
import type { EngineLimits, GenerateRequest } from "../../engine/contract/request.ts";
import type { RoutingRequest } from "../../engine/contract/routing.ts";
import type { Prompt, TextCodec } from "../text/codec.ts";
import { ContextLengthError, InvalidRequestError } from "../base/errors.ts";
import { findNamed } from "../parameters/aliases.ts";
import type { GenerationBody } from "./request-schemas.ts";
import { noLimit } from "./sampling-fields.ts";
import { checkTokenIds, readTokenRules } from "./token-rules.ts";

export interface GenerationOptions {
  readonly body: GenerationBody;
  /** Response id; the engine's ids derive from it. */
  readonly id: string;
  readonly prompts: readonly Prompt[];
  /** Field that the prompts came from, for messages. */
  readonly promptField: string;
  /** The limit the client set, and the field that said so. */
  readonly tokenLimit: { readonly value: number; readonly field: string } | undefined;
  /** Without a limit, and never beyond the context. */
  readonly defaultMaxTokens: number;
  readonly logprobs?: LogprobsParams | undefined;
  readonly promptLogprobs?: LogprobsParams | undefined;
  readonly grammar?: Automaton | undefined;
  readonly limits: EngineLimits;
  readonly codec: Pick<TextCodec, "encodeTexts">;
  /** Unsigned 32-bit, for requests that bring no seed. */
  readonly randomSeed: () => number;
  /** Called once for each prompt, after its checks. */
  readonly routingFor: (prompt: Prompt) => RoutingRequest;
}

/**
 * One engine request per choice: all choices of the first prompt, then those of the second. Choice `i`
 * of a prompt has seed `seed + i`.
 * @throws InvalidRequestError when a prompt is empty, or a token id is outside the vocabulary.
 * @throws ContextLengthError when prompt and limit do not fit into the context.
 */
export async function toGenerateRequests(options: GenerationOptions): Promise<GenerateRequest[]> {
  const { body, id, prompts, promptField, limits, logprobs, promptLogprobs, grammar } = options;
  const biased = body.logit_bias.map(([tokenId]) => tokenId);
  checkTokenIds(biased, "logit_bias", limits.vocabSize);
  const tokenRules = await readTokenRules(body, options.codec, limits.vocabSize);
  return prompts.flatMap((prompt, promptIndex) => {
    const { tokenIds: promptTokenIds } = prompt;
    checkPrompt(promptTokenIds, promptField, limits.vocabSize);
    const maxTokens = maxTokensFor(promptTokenIds.length, options);
    checkMinTokens(body.min_tokens, maxTokens);
    const seed = body.seed ?? options.randomSeed();
    const routing = options.routingFor(prompt);
    return Array.from({ length: body.n }, (_, choice): GenerateRequest => ({
      id: `${id}-${promptIndex * body.n + choice}`,
      promptTokenIds,
      maxTokens,
      sampling: {
        temperature: body.temperature,
        // OpenAI allows 0: the most likely token alone.
        topP: Math.max(body.top_p, 1e-6),
        topK: Math.max(body.top_k, 0),
        minP: body.min_p,
        seed: toUint32(seed + choice),
        repetitionPenalty: findNamed(body, "repetition_penalty")?.value ?? 1,
        repetitionWindow: body.repeat_last_n < 0 ? Infinity : body.repeat_last_n,
        frequencyPenalty: body.frequency_penalty,
        presencePenalty: body.presence_penalty,
        logitBias: body.logit_bias,
      },
      stop: body.stop,
      ignoreEos: body.ignore_eos,
      ...tokenRules,
      ...(body.cache_prompt && { cacheSalt: body.cache_salt ?? "" }),
      ...(logprobs && { logprobs }),
      ...(promptLogprobs && { promptLogprobs }),
      ...(grammar && { grammar }),
      routing,
    }));
  });
}

/**
 * Known before anything is encoded.
 * @throws InvalidRequestError
 */
export function checkAnswers(
  numPrompts: number,
  n: number,
  { maxWaitingRequests }: Pick<EngineLimits, "maxWaitingRequests">,
  field: string,
): void {
  if (numPrompts * n <= maxWaitingRequests) return;
  const message = `${numPrompts} prompts with n ${n} are more answers than may wait`;
  throw new InvalidRequestError(`${message} (${maxWaitingRequests}).`, field);
}

function maxTokensFor(promptTokens: number, options: GenerationOptions): number {
  const { tokenLimit, promptField, defaultMaxTokens, limits } = options;
  const { contextLength } = limits;
  if (promptTokens + 1 > contextLength) {
    throw new ContextLengthError(promptField, { promptTokens, maxTokens: 1, contextLength });
  }
  const room = contextLength - promptTokens;
  if (tokenLimit === undefined) return Math.min(defaultMaxTokens, room);
  if (tokenLimit.value === noLimit) return room;
  if (promptTokens + tokenLimit.value > contextLength) {
    const { field, value: maxTokens } = tokenLimit;
    throw new ContextLengthError(field, { promptTokens, maxTokens, contextLength });
  }
  return tokenLimit.value;
}

/** @throws InvalidRequestError */
export function checkPrompt(tokenIds: Uint32Array, field: string, vocabSize: number): void {
  if (tokenIds.length === 0) {
    throw new InvalidRequestError("The prompt is empty: it must have at least one token.", field);
  }
  const outside = tokenIds.find((id) => id >= vocabSize);
  if (outside !== undefined) {
    const message = `Token id ${outside} is outside the vocabulary of ${vocabSize} tokens.`;
    throw new InvalidRequestError(message, field);
  }
}

function checkMinTokens(minTokens: number, maxTokens: number): void {
  if (minTokens <= maxTokens) return;
  const message = `min_tokens: expected at most the answer's limit, ${maxTokens} (got ${minTokens})`;
  throw new InvalidRequestError(message, "min_tokens");
}

function toUint32(integer: number): number {
  return Number(BigInt.asUintN(32, BigInt(integer)));
}
