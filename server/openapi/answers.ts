import { z } from "zod";
import { inputItem, outputItem, outputText, reasoningText } from "./item-answers.ts";

/** What the server sends. Objects are open: a newer server may say more. */

const finishReason = z.enum(["stop", "length", "tool_calls"]);

const error = z.looseObject({
  error: z.looseObject({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable().describe("The field that is wrong, as the client wrote it."),
    code: z.string(),
  }),
});

const route = z
  .looseObject({
    task: z.string(),
    expert: z.string(),
    confidence: z.number().min(0).max(1),
    reason: z.string(),
  })
  .describe("Which task the prompt was taken for, by what, and which expert answered.");

const usage = z.looseObject({
  prompt_tokens: z.int().min(0),
  completion_tokens: z.int().min(0),
  total_tokens: z.int().min(0),
  /** Absent in the pieces of `continuous_usage_stats` but the last. */
  prompt_tokens_details: z.looseObject({ cached_tokens: z.int().min(0) }).optional(),
  /** Where reasoning is told from the text. */
  completion_tokens_details: z.looseObject({ reasoning_tokens: z.int().min(0) }).optional(),
});

const head = { id: z.string(), created: z.int(), model: z.string() };

const toolCall = z.looseObject({
  id: z.string(),
  type: z.literal("function"),
  function: z.looseObject({ name: z.string(), arguments: z.string() }),
});

const chatCompletion = z.looseObject({
  ...head,
  object: z.literal("chat.completion"),
  choices: z.array(
    z.looseObject({
      index: z.int().min(0),
      message: z.looseObject({
        role: z.literal("assistant"),
        content: z.string().nullable(),
        reasoning_content: z.string().optional(),
        refusal: z.string().nullable(),
        tool_calls: z.array(toolCall).optional(),
      }),
      logprobs: z.unknown(),
      finish_reason: finishReason,
    }),
  ),
  usage,
  seap: route,
});

const chatCompletionChunk = z.looseObject({
  ...head,
  object: z.literal("chat.completion.chunk"),
  choices: z.array(
    z.looseObject({
      index: z.int().min(0),
      delta: z.looseObject({
        role: z.literal("assistant").optional(),
        content: z.string().nullish(),
        reasoning_content: z.string().optional(),
      }),
      finish_reason: finishReason.nullable(),
    }),
  ),
  usage: usage.nullish(),
  seap: route.optional(),
});

const completion = z.looseObject({
  ...head,
  object: z.literal("text_completion"),
  choices: z.array(
    z.looseObject({
      index: z.int().min(0),
      text: z.string(),
      logprobs: z.unknown(),
      finish_reason: finishReason.nullable(),
      seap: route.optional(),
    }),
  ),
  usage: usage.nullish(),
  seap: route.optional(),
});

const response = z.looseObject({
  id: z.string(),
  object: z.literal("response"),
  created_at: z.int(),
  completed_at: z.int().nullable(),
  status: z.enum(["in_progress", "completed", "incomplete"]),
  error: z.null(),
  incomplete_details: z.looseObject({ reason: z.literal("max_output_tokens") }).nullable(),
  instructions: z.string().nullable(),
  max_output_tokens: z.int().nullable(),
  model: z.string(),
  output: z.array(outputItem),
  previous_response_id: z.string().nullable(),
  usage: z
    .looseObject({
      input_tokens: z.int(),
      input_tokens_details: z.looseObject({ cached_tokens: z.int() }),
      output_tokens: z.int(),
      output_tokens_details: z.looseObject({ reasoning_tokens: z.int() }),
      total_tokens: z.int(),
    })
    .nullable(),
  seap: route.optional(),
});

const responseEvent = z.looseObject({
  type: z.string(),
  sequence_number: z.int().min(0),
  response: response.optional(),
  item: outputItem.optional(),
  part: z.discriminatedUnion("type", [outputText, reasoningText]).optional(),
});

const model = z.looseObject({
  id: z.string(),
  object: z.literal("model"),
  created: z.int(),
  owned_by: z.string(),
  root: z.string(),
  max_model_len: z.int(),
});

const embedding = z.looseObject({
  object: z.literal("embedding"),
  index: z.int().min(0),
  embedding: z
    .union([z.array(z.number()), z.string()])
    .describe("Numbers, or base64 of 32-bit floats, least significant byte first."),
});

const probability = z.number().min(0).max(1);

/** Across and up. */
const position = z.array(z.number()).length(2);

const routerMap = z.looseObject({
  object: z.literal("router_map"),
  tasks: z.array(z.string()),
  clusters: z
    .array(z.looseObject({ task: z.string(), position }))
    .describe("None as long as no router chooses, and where it has no map."),
  share: z
    .number()
    .nullable()
    .describe("Of what the tasks' clusters lie apart, squared: as much is to be seen."),
});

const routeExplanation = z.looseObject({
  object: z.literal("route"),
  model: z.string(),
  task: z.string(),
  confidence: probability,
  reason: z.string(),
  router: z
    .looseObject({
      task: z.string(),
      confidence: probability,
      reason: z.string(),
      margin: z.number().nullable().describe("Log-odds over the second best; null without one."),
      strangeness: z.number(),
      threshold: z.number(),
      scores: z.array(z.looseObject({ task: z.string(), probability })),
      nearest: z.array(z.looseObject({ task: z.string(), cluster: z.int(), distance: z.number() })),
      position: position.nullable().describe("On the router's map; null where it has none."),
    })
    .nullable()
    .describe("What the router thinks; null where it was not asked."),
  routing_seconds: z.number(),
  usage: z.looseObject({ prompt_tokens: z.int() }),
});

const tokens = z.looseObject({
  count: z.int().min(0),
  max_model_len: z.int(),
  tokens: z
    .array(
      z.union([
        z.int(),
        z.looseObject({
          id: z.int(),
          piece: z.union([z.string(), z.array(z.int())]),
        }),
      ]),
    )
    .describe("Token ids; with with_pieces each with its text, or its bytes where it is no text."),
  token_strs: z.array(z.string()).nullable(),
});

const tokenizerInfo = z.looseObject({
  tokenizer_class: z.string(),
  vocab_size: z.int(),
  model_max_length: z.int(),
  bos_token: z.string().nullable(),
  eos_token: z.string().nullable(),
  pad_token: z.string().nullable(),
  add_bos_token: z.boolean(),
  chat_template: z.string(),
});

const isoTime = z.iso.datetime().nullable();

const expert = z.looseObject({
  id: z.string(),
  object: z.literal("expert"),
  state: z.string(),
  resident_bytes: z.number(),
  sparsity: z.number().nullable(),
  running: z.int(),
  hits: z.int(),
  misses: z.int(),
  evictions: z.int(),
  last_used_at: isoTime,
  problem: z.string().nullable(),
  retry_at: isoTime,
});

const indices = z.array(z.int().min(0));

const expertPlan = z.looseObject({
  object: z.literal("expert_plan"),
  task: z.string(),
  recipe: z.looseObject({}).describe("How it was made."),
  sparsity: z.looseObject({ middle: probability, blocks: probability, model: probability }),
  first_layer: z.int().describe("Of the model, from 0; the layers before and the last are whole."),
  dense: z
    .looseObject({ heads: z.int(), kv_heads: z.int(), channels: z.int() })
    .describe("What a layer has that is not pruned."),
  layers: z.array(
    z.looseObject({ kept_heads: indices, kept_kv_heads: indices, kept_channels: indices }),
  ),
});

/** By their names in the document. */
export const answers = {
  Error: error,
  Route: route,
  Usage: usage,
  ChatCompletion: chatCompletion,
  ChatCompletionChunk: chatCompletionChunk,
  Completion: completion,
  Response: response,
  ResponseEvent: responseEvent,
  ResponseItemList: z.looseObject({
    object: z.literal("list"),
    data: z.array(inputItem),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
    has_more: z.boolean(),
  }),
  DeletedResponse: z.looseObject({
    id: z.string(),
    object: z.literal("response"),
    deleted: z.literal(true),
  }),
  EmbeddingList: z.looseObject({
    object: z.literal("list"),
    data: z.array(embedding),
    model: z.string(),
    usage: z.looseObject({ prompt_tokens: z.int(), total_tokens: z.int() }),
  }),
  RouteExplanation: routeExplanation,
  Model: model,
  ModelList: z.looseObject({ object: z.literal("list"), data: z.array(model) }),
  Tokens: tokens,
  Text: z.looseObject({ prompt: z.string(), content: z.string() }),
  RenderedPrompt: z.looseObject({ prompt: z.string() }),
  TokenizerInfo: tokenizerInfo,
  Version: z.looseObject({ version: z.string() }),
  Props: z.looseObject({
    default_generation_settings: z.looseObject({
      n_ctx: z.int(),
      params: z
        .looseObject({
          temperature: z.number(),
          top_p: z.number(),
          top_k: z.number(),
          min_p: z.number(),
          repeat_penalty: z.number(),
        })
        .describe("What holds where a request does not say: as the model's files have it."),
    }),
    total_slots: z.int(),
    chat_template: z.string(),
  }),
  Status: z.looseObject({ status: z.string() }),
  Expert: expert,
  ExpertPlan: expertPlan,
  RouterMap: routerMap,
  ExpertList: z.looseObject({
    object: z.literal("list"),
    memory_budget_bytes: z.number(),
    memory_used_bytes: z.number(),
    data: z.array(expert),
  }),
} as const;

export type AnswerName = keyof typeof answers;
