import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import test from "ava";
import { FakeEngine } from "../../helpers/fake-engine.ts";
import { openSocket } from "../../helpers/open-socket.ts";
import { startServer } from "../../helpers/start-server.ts";

const text = readFileSync("docs/websocket.md", "utf8");

/** What the fenced block after a mark has in it. */
function blockAfter(mark: string): string {
  const block = new RegExp(`<!-- test: ${mark} -->\n+\`\`\`\\w+\n([^]*?)\`\`\``).exec(text)?.[1];
  if (block === undefined) throw new Error(`docs/websocket.md has no block marked ${mark}.`);
  return block;
}

/** The fields and their types; of lists the first item. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf);
  if (typeof value !== "object" || value === null) return typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, shapeOf(field)]));
}

test("the client's example of the documentation runs as printed", async (t) => {
  const { url } = await startServer(t, { security: { apiKey: ["key"] } });
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ["--input-type=module", "--eval", blockAfter("client")],
    {
      env: {
        ...process.env,
        SEAP_WS_URL: `${url.replace("http", "ws")}/v1/ws`,
        SEAP_CLIENT_KEY: "key",
      },
    },
  );
  t.is(stderr, "");
  t.is(stdout, "Hello world\n Hello world stop 2\nHello world none dense\n");
});

test("the session of the documentation goes as printed", async (t) => {
  const engine = new FakeEngine();
  engine.script = () => ({
    route: { task: "chat", confidence: 0.93, reason: "matched" },
    steps: ["Hello", " there", "!"],
  });
  const { url } = await startServer(t, { engine, tasks: ["chat"] });
  const { send, next } = await openSocket(t, url);
  const lines = blockAfter("session").trimEnd().split("\n");
  t.true(lines.length > 10);
  for (const line of lines) {
    const message = JSON.parse(line.slice(1)) as Record<string, unknown>;
    if (line.startsWith("→")) {
      send(message);
      continue;
    }
    const event = (await next()) as unknown as Record<string, unknown>;
    t.deepEqual(shapeOf(event), shapeOf(message), line);
    // What is the same in every run.
    for (const field of ["type", "id", "choices", "finish_reason", "usage", "status", "error"]) {
      t.deepEqual(event[field], message[field], line);
    }
  }
});

test("the AsyncAPI file has every message of the documentation", (t) => {
  const api = readFileSync("docs/asyncapi.yaml", "utf8");
  const documented = [...text.matchAll(/^\| `([a-z]+)` +\|/gm)].map(([, type]) => type!);
  const described = [...api.matchAll(/type: \{ const: ([a-z]+) \}/g)].map(([, type]) => type!);
  const isType = (type: string) => type !== "type";
  t.deepEqual(described, documented.filter(isType));
  t.true(documented.includes("start"));
});
