import { once } from "node:events";
import { createServer } from "node:http";
import type { RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import test from "ava";
import type { ExecutionContext } from "ava";
import { streamAnswer } from "../../../bench/load/client.ts";
import { closedLoop, openLoop, runSession } from "../../../bench/load/run-load.ts";

async function serve(t: ExecutionContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  t.teardown(() => server.close());
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Body {
  readonly messages: readonly { readonly role: string; readonly content: string }[];
}

/** Answers each chat with the number of its messages. */
async function serveCounts(t: ExecutionContext, bodies: Body[]): Promise<string> {
  return serve(t, (request, response) => {
    void text(request).then((sent) => {
      const body = JSON.parse(sent) as Body;
      bodies.push(body);
      const usage = { prompt_tokens: 5, completion_tokens: 2 };
      const event = (value: unknown) => response.write(`data: ${JSON.stringify(value)}\n\n`);
      event({ choices: [{ delta: { content: String(body.messages.length) } }] });
      event({ choices: [{ delta: {}, finish_reason: "stop" }], usage });
      response.end("data: [DONE]\n\n");
    });
  });
}

const limits = { maxTokens: 8, usesCache: false };

test("a session's later turns hold what was said before", async (t) => {
  const bodies: Body[] = [];
  const url = await serveCounts(t, bodies);
  const session = { task: "chat", system: "Be brief.", turns: ["One?", "Two?"] };
  const records = await runSession(url, session, limits);
  t.deepEqual(
    records.map(({ error, completionTokens }) => ({ error, completionTokens })),
    [1, 2].map(() => ({ error: null, completionTokens: 2 })),
  );
  t.deepEqual(
    bodies[1]!.messages.map(({ content }) => content),
    ["Be brief.", "One?", "2", "Two?"],
  );
});

test("the closed loop runs each session once, the open one starts one at each arrival", async (t) => {
  const bodies: Body[] = [];
  const url = await serveCounts(t, bodies);
  const sessions = ["a", "b", "c"].map((turn) => ({ task: "chat", turns: [turn] }));
  t.is((await closedLoop(url, sessions, limits, { streams: 2 })).length, 3);
  t.is((await openLoop(url, sessions, limits, [0, 0, 0, 0.001])).length, 4);
  const asked = bodies.map(({ messages }) => messages[0]!.content).sort();
  t.deepEqual(asked, ["a", "a", "a", "b", "b", "c", "c"]);
});

test("what a server refuses, breaks off or never hears is an error of the record", async (t) => {
  const refusing = await serve(t, (_, response) => response.writeHead(429).end("too many"));
  const breaking = await serve(t, (_, response) => {
    response.writeHead(200).write("data: ");
    response.destroy();
  });
  const prompt = { messages: [{ role: "user", content: "Hello" }] } as const;
  const { record } = await streamAnswer(refusing, prompt, limits);
  t.is(record.error, "429: too many");
  t.is(record.firstTokenAtMs, null);
  t.not((await streamAnswer(breaking, prompt, limits)).record.error, null);
  t.not((await streamAnswer("http://127.0.0.1:1", prompt, limits)).record.error, null);
});

test("an answer that breaks off has the times of what came of it", async (t) => {
  const url = await serve(t, (_, response) => {
    const event = `data: ${JSON.stringify({ choices: [{ text: "some" }] })}\n\n`;
    response.write(event, () => response.socket!.end());
  });
  const { record, text: said } = await streamAnswer(url, { prompt: [1] }, limits);
  t.is(said, "some");
  t.is(record.textAtMs.length, 1);
  t.not(record.error, null);
});
