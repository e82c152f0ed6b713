import { EventEmitter } from "node:events";
import test from "ava";
import { runExpertsCommand } from "../../bin/experts-command.ts";
import { formatExperts } from "../../bin/experts/format-experts.ts";
import { ServerRequestError } from "../../bin/experts/server-client.ts";
import type { ExpertSnapshot } from "../../engine/contract/experts.ts";
import { ConfigError } from "../../server/base/config-error.ts";
import { toWireExperts } from "../../server/experts/expert-wire.ts";
import { expertSnapshot } from "../helpers/expert-snapshot.ts";
import { FakeEngine } from "../helpers/fake-engine.ts";
import { startServer } from "../helpers/start-server.ts";

const quiet = { on: () => undefined, off: () => undefined };
const experts = { memoryBytes: 2 ** 31, builder: { numBuilds: () => 0 } };

async function run(args: readonly string[]): Promise<string> {
  let out = "";
  const io = { env: {}, stdout: (text: string) => void (out += text), stderr: () => undefined };
  await runExpertsCommand(args, io, quiet);
  return out;
}

function engineWith(...snapshots: ExpertSnapshot[]): FakeEngine {
  const engine = new FakeEngine();
  engine.snapshots = snapshots;
  return engine;
}

const built = {
  key: "expert-0123",
  storeDir: "/cache",
  sizeBytes: 1000,
  sparsity: 0.3,
  lossIncrease: 0.081,
  buildSeconds: 60,
};
const lastUsedMs = Date.UTC(2026, 0, 1);
const code = expertSnapshot("code", {
  state: "resident",
  residentBytes: 85 * 2 ** 20,
  built,
  running: 2,
  hits: 14,
  misses: 3,
  lastUsedMs,
  shadow: { requests: 4, tokens: 80, kl: 0.021, topAgreement: 0.95 },
});
const math = expertSnapshot("math", {
  state: "building",
  progress: { phase: "calibrating", share: 0.4 },
  misses: 1,
});

test("the table says where each expert is, what it costs and how it does", (t) => {
  const list = toWireExperts([code, math], 2 ** 31);
  t.is(
    formatExperts(list as never, lastUsedMs + 3000),
    `Experts take 85 MiB of 2048 MiB.

EXPERT  STATE     MEMORY  RUNNING  HITS  MISSES  EVICTED  SPARSITY  LOSS    KL     USED
code    resident  85 MiB  2        14    3       0        30.0 %    +8.1 %  0.021  3 s ago
math    building  –       0        0     1       0        –         –       –      –        calibrating 40 %
`,
  );
});

test("a running server's experts are shown as a table or as its own JSON", async (t) => {
  const { url } = await startServer(t, { engine: engineWith(code, math), experts });
  t.regex(await run(["--url", `${url}/`]), /^code +resident +85 MiB/m);
  const json = JSON.parse(await run(["--url", url, "--json"])) as unknown;
  t.deepEqual(json, JSON.parse(JSON.stringify(toWireExperts([code, math], 2 ** 31))));
});

test("commands are sent to the server, and its refusals shown", async (t) => {
  const engine = engineWith(code, math);
  const { url } = await startServer(t, { engine, experts });
  t.is(await run(["evict", "code", "--url", url]), "code: resident\n");
  t.is(await run(["build", "math", "--url", url]), "math: building (calibrating 40 %)\n");
  t.deepEqual(engine.commands, [
    ["code", "evict"],
    ["math", "build"],
  ]);
  const error = await t.throwsAsync(run(["load", "poetry", "--url", url]));
  t.true(error instanceof ServerRequestError);
  t.is(error?.message, 'There is no expert "poetry". There are: code, math.');
});

test("a server that is not there, and one that is another, is a message", async (t) => {
  const { url, server } = await startServer(t);
  await t.throwsAsync(run(["--url", `${url}/elsewhere`]), {
    instanceOf: ServerRequestError,
    message: /There is no GET/,
  });
  server.close();
  server.closeAllConnections();
  await t.throwsAsync(run(["--url", url]), {
    instanceOf: ServerRequestError,
    message: /cannot be reached: .*Is the server running there\?$/,
  });
});

test("wrong arguments name the option or what was expected", async (t) => {
  const wrong: readonly (readonly [string[], RegExp])[] = [
    [["paint", "code"], /'paint'.*seap experts --help/],
    [["load"], /Expected 1 argument besides options, got 0/],
    [["load", "code", "--watch"], /--watch/],
  ];
  for (const [args, message] of wrong) {
    await t.throwsAsync(run(args), { instanceOf: ConfigError, message }, args.join(" "));
  }
});

test("the help lists the commands and options", async (t) => {
  const help = await run(["--help"]);
  t.regex(help, /seap experts build\|load\|evict <expert>/);
  for (const flag of ["url", "watch", "json"]) t.regex(help, new RegExp(`--${flag}`));
});

/** Watches until something was printed `times` times, then presses Ctrl-C. */
async function watch(
  url: string,
  args: readonly string[],
  { stdoutIsTty, times }: { readonly stdoutIsTty: boolean; readonly times: number },
  onPrint: (printed: number) => void = () => undefined,
): Promise<string[]> {
  const signals = new EventEmitter();
  const printed: string[] = [];
  const stdout = (text: string) => {
    printed.push(text);
    onPrint(printed.length);
    if (printed.length === times) signals.emit("SIGINT");
  };
  const io = { env: {}, stdout, stderr: () => undefined, stdoutIsTty };
  await runExpertsCommand(["--watch", "--url", url, ...args], io, signals);
  return printed;
}

test("watching draws the table anew on a terminal and ends with Ctrl-C", async (t) => {
  const { url } = await startServer(t, { engine: engineWith(code, math), experts });
  const [clear, first, second] = await watch(url, [], { stdoutIsTty: true, times: 3 });
  t.is(clear, "\x1b[2J");
  t.true(first!.startsWith("\x1b[H\x1b[J"));
  t.regex(second!, /code +resident/);
});

test("watching without a terminal prints only the experts that have changed", async (t) => {
  const engine = engineWith(code, math);
  const { url } = await startServer(t, { engine, experts });
  const lines = await watch(url, [], { stdoutIsTty: false, times: 3 }, (printed) => {
    if (printed === 2) engine.snapshots = [code, { ...math, state: "stored", progress: null }];
  });
  t.deepEqual(
    lines.map((line) => line.slice(line.indexOf(" ") + 1)),
    ["code: resident\n", "math: building (calibrating 40 %)\n", "math: stored\n"],
  );
  const [json] = await watch(url, ["--json"], { stdoutIsTty: false, times: 1 });
  t.is((JSON.parse(json!) as { object: string }).object, "list");
});
