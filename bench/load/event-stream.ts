import { z } from "zod";

/** Bytes as they came, with the time on the process's clock. */
export interface TimedChunk {
  readonly atMs: number;
  readonly bytes: Uint8Array;
}

/** What a streamed answer held. */
export interface StreamedAnswer {
  readonly text: string;
  /** When each event with text came. One may hold several tokens. */
  readonly textAtMs: readonly number[];
  /** When the first event came that says how the answer ends, null where none did. */
  readonly finishedAtMs: number | null;
  readonly usage: Usage | null;
  /** An error that came as an event. */
  readonly error: string | null;
}

export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
}

const eventSchema = z.looseObject({
  choices: z
    .array(
      z.looseObject({
        text: z.string().nullish(),
        delta: z.looseObject({ content: z.string().nullish() }).optional(),
        finish_reason: z.string().nullish(),
      }),
    )
    .optional(),
  usage: z
    .looseObject({
      prompt_tokens: z.number(),
      completion_tokens: z.number(),
      prompt_tokens_details: z.looseObject({ cached_tokens: z.number().nullish() }).nullish(),
    })
    .nullish(),
  error: z.looseObject({ message: z.string() }).optional(),
});

/** Reads the events of a streamed completion or chat completion, as all servers with the OpenAI API send them. */
export function readAnswer(chunks: readonly TimedChunk[]): StreamedAnswer {
  let text = "";
  const textAtMs: number[] = [];
  let finishedAtMs: number | null = null;
  let usage: Usage | null = null;
  let error: string | null = null;
  for (const { atMs, data } of dataLines(chunks)) {
    if (data === "[DONE]") continue;
    const event = eventSchema.parse(JSON.parse(data));
    const choice = event.choices?.[0];
    const piece = choice?.delta?.content ?? choice?.text ?? "";
    if (piece !== "") {
      text += piece;
      textAtMs.push(atMs);
    }
    if (choice?.finish_reason) finishedAtMs ??= atMs;
    if (event.usage) {
      usage = {
        promptTokens: event.usage.prompt_tokens,
        completionTokens: event.usage.completion_tokens,
        cachedTokens: event.usage.prompt_tokens_details?.cached_tokens ?? 0,
      };
    }
    if (event.error) error = event.error.message;
  }
  return { text, textAtMs, finishedAtMs, usage, error };
}

/** The data of each event, with the time at which its line was complete. */
function* dataLines(chunks: readonly TimedChunk[]): Generator<{ atMs: number; data: string }> {
  const decoder = new TextDecoder();
  let rest = "";
  for (const { atMs, bytes } of chunks) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      if (line.startsWith("data:")) yield { atMs, data: line.slice(5).trim() };
    }
  }
}
