import type { Grammar } from "../engine/grammar/grammar.ts";
import type { LogprobsParams } from "../engine/logprobs.ts";
import type { EngineLimits, GenerateRequest } from "../engine/request.ts";
import type { RoutingRequest } from "../engine/routing.ts";
import type { Prompt } from "./codec.ts";
import { ContextLengthError, InvalidRequestError } from "./errors.ts";
import type { GenerationBody } from "./request-schemas.ts";

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
  readonly grammar?: Grammar | undefined;
  readonly limits: EngineLimits;
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
export function toGenerateRequests(options: GenerationOptions): GenerateRequest[] {
  const { body, id, prompts, promptField, limits, logprobs, promptLogprobs, grammar } = options;
  if (prompts.length * body.n > limits.maxWaitingRequests) {
    const message = `${prompts.length} prompts with n ${body.n} are more answers than may wait`;
    throw new InvalidRequestError(`${message} (${limits.maxWaitingRequests}).`, promptField);
  }
  checkLogitBias(body.logit_bias, limits.vocabSize);
  return prompts.flatMap((prompt, promptIndex) => {
    const { tokenIds: promptTokenIds } = prompt;
    checkPrompt(promptTokenIds, promptField, limits.vocabSize);
    const maxTokens = maxTokensFor(promptTokenIds.length, options);
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
        repetitionPenalty: body.repetition_penalty,
        repetitionWindow: Infinity,
        frequencyPenalty: body.frequency_penalty,
        presencePenalty: body.presence_penalty,
        logitBias: body.logit_bias,
      },
      stop: body.stop,
      ignoreEos: body.ignore_eos,
      ...(body.cache_prompt && { cacheSalt: body.cache_salt ?? "" }),
      ...(logprobs && { logprobs }),
      ...(promptLogprobs && { promptLogprobs }),
      ...(grammar && { grammar }),
      routing,
    }));
  });
}

function maxTokensFor(promptTokens: number, options: GenerationOptions): number {
  const { tokenLimit, promptField, defaultMaxTokens, limits } = options;
  const { contextLength } = limits;
  if (promptTokens + 1 > contextLength) {
    throw new ContextLengthError(promptField, promptTokens, 1, contextLength);
  }
  if (tokenLimit === undefined) return Math.min(defaultMaxTokens, contextLength - promptTokens);
  if (promptTokens + tokenLimit.value > contextLength) {
    throw new ContextLengthError(tokenLimit.field, promptTokens, tokenLimit.value, contextLength);
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

function checkLogitBias(biases: GenerationBody["logit_bias"], vocabSize: number): void {
  const outside = biases.find(([id]) => id >= vocabSize);
  if (outside === undefined) return;
  const message = `Token id ${outside[0]} is outside the vocabulary of ${vocabSize} tokens.`;
  throw new InvalidRequestError(message, "logit_bias");
}

function toUint32(integer: number): number {
  return Number(BigInt.asUintN(32, BigInt(integer)));
}
