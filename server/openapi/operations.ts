import type { z } from "zod";
import { inputItemsQuery } from "../responses/item-page.ts";
import type { AnswerName } from "./answers.ts";
import type { RequestName } from "./requests.ts";

/** One method of one path. */
export interface Operation {
  readonly method: "get" | "post" | "delete";
  /** With `{parameters}`. */
  readonly path: string;
  /** Unique in the document. */
  readonly id: string;
  readonly tag: "Generation" | "Models" | "Tokens" | "Experts" | "Operations";
  readonly summary: string;
  readonly request?: RequestName;
  /** What the client may say in the address. */
  readonly query?: z.ZodObject;
  /** @default 200 */
  readonly status?: number;
  /** Of the answer as JSON. */
  readonly answer?: AnswerName;
  /** Of the events where the request asks for a stream. */
  readonly event?: AnswerName;
  /** What it answers that is not JSON: its media type. */
  readonly text?: string;
}

const experts = { tag: "Experts", answer: "Expert" } as const;

export const operations: readonly Operation[] = [
  {
    method: "post",
    path: "/v1/chat/completions",
    id: "createChatCompletion",
    tag: "Generation",
    summary: "Answer a conversation.",
    request: "ChatCompletionRequest",
    answer: "ChatCompletion",
    event: "ChatCompletionChunk",
  },
  {
    method: "post",
    path: "/v1/completions",
    id: "createCompletion",
    tag: "Generation",
    summary: "Continue texts.",
    request: "CompletionRequest",
    answer: "Completion",
    event: "Completion",
  },
  {
    method: "post",
    path: "/v1/responses",
    id: "createResponse",
    tag: "Generation",
    summary: "Answer a conversation that the server may keep.",
    request: "ResponseRequest",
    answer: "Response",
    event: "ResponseEvent",
  },
  {
    method: "get",
    path: "/v1/responses/{id}",
    id: "retrieveResponse",
    tag: "Generation",
    summary: "A response that was kept.",
    answer: "Response",
  },
  {
    method: "delete",
    path: "/v1/responses/{id}",
    id: "deleteResponse",
    tag: "Generation",
    summary: "Forget a response.",
    answer: "DeletedResponse",
  },
  {
    method: "get",
    path: "/v1/responses/{id}/input_items",
    id: "listInputItems",
    tag: "Generation",
    summary: "What a response that was kept was made from.",
    query: inputItemsQuery,
    answer: "ResponseItemList",
  },
  {
    method: "post",
    path: "/v1/embeddings",
    id: "createEmbedding",
    tag: "Tokens",
    summary: "Texts as vectors: means of the model's last hidden states, made 1 long.",
    request: "EmbeddingRequest",
    answer: "EmbeddingList",
  },
  {
    method: "post",
    path: "/v1/route",
    id: "explainRoute",
    tag: "Experts",
    summary: "Which task a prompt would be taken for, and why. Nothing is generated.",
    request: "RouteRequest",
    answer: "RouteExplanation",
  },
  {
    method: "get",
    path: "/v1/router/map",
    id: "retrieveRouterMap",
    tag: "Experts",
    summary: "Where the router's clusters lie, seen from where the tasks lie farthest apart.",
    answer: "RouterMap",
  },
  {
    method: "get",
    path: "/v1/ws",
    id: "connect",
    tag: "Generation",
    summary: "Many answers over one WebSocket; the messages are described in docs/websocket.md.",
    status: 101,
  },
  {
    method: "get",
    path: "/v1/models",
    id: "listModels",
    tag: "Models",
    summary: "What is served, under all its names.",
    answer: "ModelList",
  },
  {
    method: "get",
    path: "/v1/models/{id}",
    id: "retrieveModel",
    tag: "Models",
    summary: "One of the names; it may contain slashes.",
    answer: "Model",
  },
  {
    method: "post",
    path: "/tokenize",
    id: "tokenize",
    tag: "Tokens",
    summary: "Text or a conversation as token ids.",
    request: "TokenizeRequest",
    answer: "Tokens",
  },
  {
    method: "post",
    path: "/detokenize",
    id: "detokenize",
    tag: "Tokens",
    summary: "Token ids as text.",
    request: "DetokenizeRequest",
    answer: "Text",
  },
  {
    method: "post",
    path: "/apply-template",
    id: "applyTemplate",
    tag: "Tokens",
    summary: "A conversation as the model reads it.",
    request: "ApplyTemplateRequest",
    answer: "RenderedPrompt",
  },
  {
    method: "get",
    path: "/tokenizer_info",
    id: "tokenizerInfo",
    tag: "Tokens",
    summary: "Special tokens, sizes and the chat template.",
    answer: "TokenizerInfo",
  },
  {
    method: "get",
    path: "/v1/experts",
    id: "listExperts",
    tag: "Experts",
    summary: "Experts, their states and their memory.",
    answer: "ExpertList",
  },
  {
    method: "get",
    path: "/v1/experts/{task}",
    id: "retrieveExpert",
    ...experts,
    summary: "The expert of a task.",
  },
  {
    method: "get",
    path: "/v1/experts/{task}/plan",
    id: "retrieveExpertPlan",
    tag: "Experts",
    summary: "What the expert of a task keeps of each layer.",
    answer: "ExpertPlan",
  },
  ...(["build", "load", "evict"] as const).map((command): Operation => ({
    method: "post",
    path: `/v1/experts/{task}/${command}`,
    id: `${command}Expert`,
    ...experts,
    status: 202,
    summary: `Begin to ${command} the expert of a task.`,
  })),
  {
    method: "get",
    path: "/health",
    id: "health",
    tag: "Operations",
    summary: "Whether the process is alive.",
    answer: "Status",
  },
  {
    method: "get",
    path: "/v1/health",
    id: "healthV1",
    tag: "Operations",
    summary: "As /health.",
    answer: "Status",
  },
  ...(["get", "post"] as const).map((method): Operation => ({
    method,
    path: "/ping",
    id: `${method}Ping`,
    tag: "Operations",
    summary: "As /health, without a body.",
  })),
  {
    method: "get",
    path: "/version",
    id: "version",
    tag: "Operations",
    summary: "Of the server.",
    answer: "Version",
  },
  {
    method: "get",
    path: "/props",
    id: "props",
    tag: "Operations",
    summary: "The model's context and template, in llama.cpp's words.",
    answer: "Props",
  },
  {
    method: "get",
    path: "/ready",
    id: "ready",
    tag: "Operations",
    summary: "Whether requests will be answered; otherwise the error that they would get.",
    answer: "Status",
  },
  {
    method: "get",
    path: "/metrics",
    id: "metrics",
    tag: "Operations",
    summary: "Metrics for Prometheus.",
    text: "text/plain",
  },
  {
    method: "get",
    path: "/openapi.json",
    id: "openApi",
    tag: "Operations",
    summary: "This document.",
    text: "application/json",
  },
];
