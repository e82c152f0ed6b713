/** What was decided on a prompt: its task, and the expert that answers. */
export interface Route {
  readonly task: string;
  readonly expert: string;
  /** 0 to 1, to four digits. */
  readonly confidence: number;
  /** Why it is not the expert that the task is meant to have; where it is, as `route`. */
  readonly reason: string;
  /** Why it is that task. */
  readonly route: string;
}

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  /** Where reasoning is told from the text. */
  readonly completion_tokens_details?: { readonly reasoning_tokens: number };
}

/** A piece of one choice, as in the chunks of the HTTP stream. */
export interface ChoicePiece {
  readonly index: number;
  /** What a chat goes on with; a completion has `text`. */
  readonly delta?: {
    readonly role?: string;
    readonly content?: string | null;
    /** What a model that thinks before it answers thinks; no part of the content. */
    readonly reasoning_content?: string;
  } & Readonly<Record<string, unknown>>;
  /** What a completion goes on with; a chat has `delta`. */
  readonly text?: string;
  readonly logprobs?: unknown;
  readonly finish_reason?: string | null;
}

export interface WireError {
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly code: string;
}

export interface StartEvent {
  readonly type: "start";
  readonly id: string;
  readonly response_id: string;
  /** Unix seconds. */
  readonly created: number;
  readonly model: string;
  /** Places of what the body describes and the answer is not held to, where there are any. */
  readonly unenforced?: readonly string[];
  /** Null only where the route took longer than the client may be left in silence. */
  readonly seap: Route | null;
}

export interface DeltaEvent {
  readonly type: "delta";
  readonly id: string;
  readonly choices: readonly ChoicePiece[];
  /** Of the choice so far, where the body asks for `continuous_usage_stats`. */
  readonly usage?: Usage;
  /** Of the choice, in its last delta. */
  readonly seap?: Route;
}

export interface DoneEvent {
  readonly type: "done";
  readonly id: string;
  /** Of the first choice. */
  readonly finish_reason: string | null;
  readonly usage: Usage | null;
}

export interface ErrorEvent {
  readonly type: "error";
  /** Absent where the error does not end an answer. */
  readonly id?: string;
  /** The HTTP status that the error would have. */
  readonly status: number;
  /** Seconds. */
  readonly retry_after?: number;
  readonly error: WireError;
}

/** What the server sends. An answer is one `start`, `delta`s and one `done`; or it ends with an `error`. */
export type ServerEvent =
  | StartEvent
  | DeltaEvent
  | DoneEvent
  | ErrorEvent
  | { readonly type: "authenticated" }
  | { readonly type: "pong" };

export type ClientMessage =
  | { readonly type: "chat" | "completion"; readonly id: string; readonly body: object }
  | { readonly type: "cancel"; readonly id: string }
  | { readonly type: "auth"; readonly api_key: string }
  | { readonly type: "ping" };

/** The fields of a chat that are used most; all others of the HTTP endpoint may be there as well. */
export interface ChatBody {
  readonly messages: readonly {
    readonly role: "system" | "developer" | "user" | "assistant" | "tool";
    readonly content: unknown;
    readonly [field: string]: unknown;
  }[];
  readonly model?: string;
  readonly max_completion_tokens?: number;
  readonly temperature?: number;
  readonly [field: string]: unknown;
}

/** The fields of a completion that are used most; all others of the HTTP endpoint may be there as well. */
export interface CompletionBody {
  readonly prompt: string | readonly string[] | readonly number[] | readonly (readonly number[])[];
  readonly model?: string;
  readonly max_tokens?: number;
  readonly temperature?: number;
  readonly [field: string]: unknown;
}
