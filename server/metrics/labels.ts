/** Label of HTTP metrics; paths that are none of these count as `other`. */
export type Endpoint =
  | "chat_completions"
  | "completions"
  | "models"
  | "experts"
  | "responses"
  | "embeddings"
  | "route"
  | "router_map"
  | "tokenize"
  | "detokenize"
  | "tokenizer_info"
  | "version"
  | "props"
  | "apply_template"
  | "openapi"
  | "websocket"
  | "page"
  | "health"
  | "ready"
  | "metrics"
  | "other";

/** Why a request was refused that would have been served at another time. */
export const rejectionReasons = ["queue", "parked", "rate", "concurrency"] as const;

export type RejectionReason = (typeof rejectionReasons)[number];
