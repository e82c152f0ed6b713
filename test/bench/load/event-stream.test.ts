import test from "ava";
import { readAnswer } from "../../../bench/load/event-stream.ts";

const event = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;
const chunk = (atMs: number, text: string) => ({ atMs, bytes: Buffer.from(text) });

test("a chat's text, its times and its usage are read, wherever the bytes are cut", (t) => {
  const stream = Buffer.from(
    event({ choices: [{ delta: { role: "assistant", content: "" } }] }) +
      event({ choices: [{ delta: { content: "Zwölf" } }] }) +
      ": keep-alive\n\n" +
      event({ choices: [{ delta: {}, finish_reason: "stop" }] }) +
      event({
        choices: [],
        usage: {
          ...{ prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 },
          prompt_tokens_details: { cached_tokens: 4 },
        },
      }) +
      "data: [DONE]\n\n",
  );
  const whole = readAnswer([{ atMs: 5, bytes: stream }]);
  t.deepEqual(whole, {
    text: "Zwölf",
    textAtMs: [5],
    finishedAtMs: 5,
    usage: { promptTokens: 9, completionTokens: 3, cachedTokens: 4 },
    error: null,
  });
  const bytes = Array.from(stream, (byte) => ({ atMs: 5, bytes: Uint8Array.of(byte) }));
  t.deepEqual(readAnswer(bytes), whole);
});

test("an event is there when its line is complete", (t) => {
  const [first, second] = [
    event({ choices: [{ text: "one" }] }),
    event({ choices: [{ text: "two" }] }),
  ];
  const { text, textAtMs } = readAnswer([
    chunk(1, first + second.slice(0, 10)),
    chunk(2, second.slice(10)),
  ]);
  t.is(text, "onetwo");
  t.deepEqual(textAtMs, [1, 2]);
});

test("an error that comes as an event is told", (t) => {
  t.is(readAnswer([chunk(1, event({ error: { message: "no room" } }))]).error, "no room");
});
