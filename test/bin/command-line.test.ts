import { once, EventEmitter } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import test from "ava";
import { ModelLoadError } from "../../model/errors.ts";
import { runCommandLine } from "../../bin/command-line.ts";
import { packageVersion } from "../../server/base/package-version.ts";
import { serveCommand } from "../../bin/serve-command.ts";
import { FakeCodec } from "../helpers/fake-codec.ts";
import { FakeEngine } from "../helpers/fake-engine.ts";

async function run(args: readonly string[], load = fakeLoad) {
  const signals = new EventEmitter();
  let [stdout, stderr] = ["", ""];
  const exited = once(signals, "exit");
  const commands = {
    serve: serveCommand({
      load,
      signals,
      exit: (status) => signals.emit("exit", status),
      kill: () => signals.emit("exit", 137),
    }),
  };
  const status = await runCommandLine(args, commands, {
    env: {},
    stdout: (text) => (stdout += text),
    stderr: (text) => (stderr += text),
  });
  return { status, stdout, stderr, signals, exited };
}

function fakeLoad() {
  const names: [string] = ["fake"];
  const engine = new FakeEngine();
  const close = () => engine.close();
  return Promise.resolve({
    names,
    engine,
    codec: new FakeCodec(),
    generationDefaults: {},
    tasks: [],
    experts: null,
    middle: { firstLayer: 0, layer: { numHeads: 1, numKvHeads: 1, intermediateSize: 1 } },
    routerMap: () => null,
    close,
  });
}

test("help lists the commands", async (t) => {
  for (const args of [[], ["--help"], ["-h"]]) {
    const { status, stdout } = await run(args);
    t.is(status, 0);
    t.regex(stdout, /serve +serve a model/);
  }
});

test("the version is the package's", async (t) => {
  t.is((await run(["--version"])).stdout, `seap ${packageVersion()}\n`);
  t.regex(packageVersion(), /^\d+\.\d+\.\d+/);
});

test("an unknown command or option exits with 2 and names it", async (t) => {
  for (const [args, name] of [
    [["srve"], '"srve"'],
    [["--verison"], '"--verison"'],
    [["toString"], '"toString"'],
    [["serve", "--prot", "1"], "--prot"],
    [["serve", "--port", "x"], "--port"],
  ] as const) {
    const { status, stderr } = await run(args);
    t.is(status, 2);
    t.true(stderr.includes(name), stderr);
  }
});

test("serve --help prints the options and serves nothing", async (t) => {
  const { status, stdout } = await run(["serve", "--help"]);
  t.is(status, 0);
  t.regex(stdout, /--max-batch {2}\(SEAP_MAX_BATCH\) {2}\[16\]/);
});

test("serve listens, loads, and exits with 0 on a signal", async (t) => {
  const { status, stderr, signals, exited } = await run(["serve", "--port", "0"]);
  t.is(status, 0);
  const url = /url="([^"]+)"/.exec(stderr)?.[1];
  t.is((await fetch(`${url}/ready`)).status, 200);
  signals.emit("SIGTERM");
  t.deepEqual(await exited, [0]);
});

test("a model that cannot be loaded exits with 1, says why, and leaves no server behind", async (t) => {
  const load = () => Promise.reject(new ModelLoadError("/m.gguf", "it is truncated"));
  const { status, stderr } = await run(["serve", "--port", "0"], load);
  t.is(status, 1);
  t.regex(stderr, /seap serve: \/m\.gguf: it is truncated/);
  const url = /url="([^"]+)"/.exec(stderr)?.[1];
  await t.throwsAsync(fetch(`${url}/health`));
});

test("an address that is taken exits with 1 and names it, without loading the model", async (t) => {
  const other = createServer().listen(0, "127.0.0.1");
  t.teardown(() => other.close());
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  const load = () => t.fail();
  const { status, stderr } = await run(["serve", "--port", String(port)], load);
  t.is(status, 1);
  t.regex(stderr, new RegExp(`Cannot listen on 127\\.0\\.0\\.1 port ${port}`));
});
