import type { SeapError } from "../../model/errors.ts";
import type { EngineStoppedError } from "./errors.ts";
import type { ExpertSnapshot, ServeReason } from "./experts.ts";
import type { Automaton } from "./automaton.ts";
import type { LogprobsParams, TokenLogprobs } from "./logprobs.ts";
import type { Decision } from "../../router/router.ts";
import type { Route, RoutingRequest } from "./routing.ts";
import type { StepReport } from "./step-meter.ts";

/** How the next token is drawn. Neutral values switch a rule off. */
export interface SamplingParams {
  /** Below 1e-6 it is greedy. */
  readonly temperature: number;
  /** Nucleus mass in (0, 1]; 1 is off. */
  readonly topP: number;
  /** Number of most likely tokens kept; 0 is off. */
  readonly topK: number;
  /** Smallest probability kept, relative to the most likely token, in [0, 1]; 0 is off. */
  readonly minP: number;
  /** Unsigned 32-bit. The same request with the same seed gives the same text. */
  readonly seed: number;
  /** Divides positive and multiplies negative logits of tokens seen in prompt or output; 1 is off. */
  readonly repetitionPenalty: number;
  /** How many of the last tokens it looks at, at least 0; Infinity for all. */
  readonly repetitionWindow: number;
  /** Subtracted once per occurrence in the output, in [-2, 2]. */
  readonly frequencyPenalty: number;
  /** Subtracted once if the token occurs in the output, in [-2, 2]. */
  readonly presencePenalty: number;
  /** Token id and the amount added to its logit, in [-100, 100]. */
  readonly logitBias: readonly (readonly [tokenId: number, bias: number])[];
}

/** A validated request: only `server/` makes one, only the engine consumes it. */
export interface GenerateRequest {
  /** Unique among the requests in flight. */
  readonly id: string;
  /** At least one; `promptTokenIds.length + maxTokens` is at most the context length. */
  readonly promptTokenIds: Uint32Array;
  /** Largest number of new tokens; 0 reads the prompt and says nothing. */
  readonly maxTokens: number;
  readonly sampling: SamplingParams;
  /** The text ends before the first of these; they are no part of the output, unless `includeStop` says so. */
  readonly stop: readonly string[];
  /** Tokens that end the answer too; as little part of the output. */
  readonly stopTokenIds?: readonly number[];
  /** What ends the answer is part of its text. @default false */
  readonly includeStop?: boolean;
  /** Before so many tokens nothing ends the answer but a grammar. @default 0 */
  readonly minTokens?: number;
  /** Bit `i % 32` of element `i / 32` is set where token `i` may come at all. @default all may */
  readonly allowedTokens?: Int32Array;
  /** None of these comes in the output, one token after the other; none is empty. */
  readonly bannedTokens?: readonly (readonly number[])[];
  /** Control tokens add their text. @default false */
  readonly keepControl?: boolean;
  /** Go on after an end-of-sequence token, which then adds no text. */
  readonly ignoreEos: boolean;
  /** Tell the log-probabilities of the new tokens; absent where nobody asks, for they cost time. */
  readonly logprobs?: LogprobsParams;
  /** Tell those of the prompt's tokens too. */
  readonly promptLogprobs?: LogprobsParams;
  /** Only its texts are answers. */
  readonly grammar?: Automaton;
  /** Absent where nobody asks for a task: the answer then has no `routed` event. */
  readonly routing?: RoutingRequest;
  /**
   * Prompts of the same salt share what was computed for their common beginning. @default nothing is shared
   */
  readonly cacheSalt?: string;
  /** What is made of the prompt instead of an answer; `maxTokens` is 0 then, and there is no `routed` event. */
  readonly reading?: Reading["kind"];
}

/** What became of a prompt that was read and not answered. */
export type Reading = RouteReading | EmbeddingReading;

/** How a prompt would be routed. Only the trunk sees it. */
export interface RouteReading {
  readonly kind: "route";
  readonly route: Route;
  /** What the router thinks; null where it was not asked. */
  readonly decision: Decision | null;
  /** What the decision cost. */
  readonly seconds: number;
}

/** The prompt as the unpruned model understands it, whatever the task. */
export interface EmbeddingReading {
  readonly kind: "embedding";
  /** Mean of what the last norm takes of each token, made 1 long. Shape `[hiddenSize]`. */
  readonly embedding: Float32Array;
}

/** What was decided on the prompt: once, before the first token. */
export interface RoutedEvent extends Route {
  readonly type: "routed";
  /** Name of the middle that the sequence runs on. */
  readonly expert: string;
  /** Why it is that one. */
  readonly serveReason: ServeReason;
  /** What the decision cost. */
  readonly seconds: number;
}

export type FinishReason = "stop" | "length";

export interface GenerateTimings {
  /** Arrival in the engine to the start of the prefill. */
  readonly queueSeconds: number;
  /** Start of the prefill to the first token. */
  readonly prefillSeconds: number;
  /** First token to the last. */
  readonly decodeSeconds: number;
  /** What all passes of the prefill took in the head. */
  readonly headSeconds: number;
  /** What the last pass of the prefill, which the first token came of, took in the head. */
  readonly lastHeadSeconds: number;
  /** The last logits of the prefill to the first token, what its grammar took included. */
  readonly sampleSeconds: number;
}

/** Only where the request asks. */
export interface EventLogprobs {
  /** Log-probabilities of the tokens generated since the last event, also while their text is held back. */
  readonly logprobs?: readonly TokenLogprobs[];
  /** Those of the prompt's tokens, in the first event with tokens; null for the first token, which nothing comes before. */
  readonly promptLogprobs?: readonly (TokenLogprobs | null)[];
}

/**
 * Text comes as soon as it is final: complete UTF-8 and no possible start of a stop string.
 * The texts of all events joined are the answer.
 */
export type GenerateEvent = AcceptedEvent | RoutedEvent | TextEvent;

export interface AcceptedEvent {
  /** Always first, at once: the request is queued or running and will not be refused any more. */
  readonly type: "accepted";
}

export type TextEvent = DeltaEvent | FinishEvent;

export interface DeltaEvent extends EventLogprobs {
  readonly type: "delta";
  /** May be empty while text is held back; the tokens are then counted here all the same. */
  readonly text: string;
  /** Tokens generated since the last event. */
  readonly numTokens: number;
}

export interface FinishEvent extends EventLogprobs {
  readonly type: "finish";
  readonly reason: FinishReason;
  /** Text that was held back until now. */
  readonly text: string;
  readonly numTokens: number;
  readonly promptTokens: number;
  /** Prompt tokens whose keys and values were kept from an earlier prompt. */
  readonly cachedTokens: number;
  /** All generated tokens, the end-of-sequence token included. */
  readonly completionTokens: number;
  readonly timings: GenerateTimings;
  /** Where the request asks for one. */
  readonly reading?: Reading;
}

/** What the engine's thread holds. */
export interface EngineMemory {
  /** Used share of the KV memory budget, 0 to 1. */
  readonly kvCacheUsage: number;
  /** Keys and values that are allocated, those of the prefix cache among them. */
  readonly kvBytes: number;
  /** Weights of the model and of the experts that are loaded. */
  readonly weightBytes: number;
  /** Prompt beginnings that are kept for later prompts. */
  readonly prefixCacheBytes: number;
  /** Grammars, with what is known of them. */
  readonly grammarCacheBytes: number;
}

export interface EngineStats extends EngineMemory {
  readonly runningRequests: number;
  readonly waitingRequests: number;
  /** Requests that wait for their expert, in the middle of their prefill. */
  readonly parkedRequests: number;
  /** Prompt tokens of the waiting requests. */
  readonly waitingTokens: number;
  /** Times that the worker was started anew after it had failed. */
  readonly restarts: number;
}

export interface EngineLimits {
  /** Prompt and new tokens together, per request. */
  readonly contextLength: number;
  readonly vocabSize: number;
  /** Sequences decoded in one batch. */
  readonly maxBatch: number;
  /** Requests that may wait; one more is refused. */
  readonly maxWaitingRequests: number;
}

/** What a person can have done with an expert. */
export type ExpertCommand = "build" | "load" | "evict";

/** @param deliverySeconds from the end of the step to its tokens being written to the clients */
export type StepObserver = (report: StepReport, deliverySeconds: number) => void;

/** The engine as the server sees it. The real one runs in a worker thread. */
export interface Engine {
  readonly limits: EngineLimits;
  /** Why no request is taken now; null where they are. */
  readonly problem: SeapError | null;
  /** Engines that take requests now: 1 or 0 where this is a single one. */
  readonly enginesUp: number;
  /** Settles when the engine has failed and will not come back; never where it is closed before. */
  readonly failed: Promise<EngineStoppedError>;
  /**
   * Streams one answer: `accepted`, where there is routing `routed`, then text. Leaving the iteration or aborting the signal cancels the request, queued or
   * running, within one step and without touching any other.
   * @throws OverloadedError at the first `next()` when the waiting queue is full.
   * @throws CancelledError when `signal` aborts.
   * @throws InferenceError when the device fails; only the requests of that step are lost.
   * @throws TooManyParkedError when it would have to wait for its expert beside too many others.
   * @throws GrammarError when its grammar cannot be followed any further.
   * @throws EngineStoppedError when the engine was closed or its worker died.
   * @throws EngineRestartingError when another worker is not there yet.
   */
  generate(
    request: GenerateRequest,
    signal?: AbortSignal,
  ): AsyncGenerator<GenerateEvent, void, void>;
  stats(): EngineStats;
  /** Calls back about each step from now on, once what it brought was written to the clients. */
  observeSteps(observer: StepObserver): void;
  /**
   * Routes the requests that come from now on by the router of a file.
   * @throws RouterLoadError when it cannot be used; what routed before goes on.
   * @throws EngineStoppedError
   */
  useRouter(path: string): Promise<void>;
  /** Dense and all experts as they were last told of; empty where none were configured. */
  experts(): readonly ExpertSnapshot[];
  /**
   * @param name of an expert
   * @returns how it is once the command has taken effect: a load is through, a build at least planned
   * @throws ExpertCommandError when there is no such expert, or it cannot be done now.
   * @throws EngineStoppedError
   */
  commandExpert(name: string, command: ExpertCommand): Promise<ExpertSnapshot>;
  /**
   * Cancels what is in flight and ends the worker by message. May be called twice.
   * @throws EngineHungError when the worker does not end in time; it lives as long as the process then.
   */
  close(): Promise<void>;
}
