import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { artifactStore } from "../../bin/model-session.ts";
import { findHaproxy, Haproxy } from "../helpers/haproxy.ts";
import { setUpOps } from "../helpers/ops-setting.ts";
import { type Exchange, ReplicaLoad, replicaOf } from "../helpers/replica-load.ts";
import { runSeap, type SeapProcess } from "../helpers/seap-process.ts";
import { writeTinyGguf } from "../helpers/tiny-gguf.ts";
import { writeTinyRouter } from "../helpers/tiny-router.ts";

const tasks = ["chat", "math"];
const experts = { tasks: { chat: { serve: false }, general: { serve: false } } };
const conversations = Array.from({ length: 12 }, (_, index) => `conversation-${index}`);

/** Long enough to be under way when a server is killed. */
const question = {
  model: "tiny:math",
  messages: [{ role: "user", content: "What is 3 + 4?" }],
  max_tokens: 120,
  ignore_eos: true,
  temperature: 0,
};

/** Without a rest, asking would take the processor from what is waited for. */
const pollMs = 100;

const { folder, toolsOrSkip } = setUpOps(findHaproxy);

interface Replica extends SeapProcess {
  readonly address: string;
  /** Whether a line of /metrics begins so. */
  readonly has: (sample: string) => Promise<boolean>;
}

/** A server whose expert is loaded. */
async function startReplica(t: ExecutionContext, port = 0): Promise<Replica> {
  const seap = runSeap(t, [
    ...["serve", "--port", String(port), "--cache-dir", join(folder, "cache")],
    ...["--model", join(folder, "tiny.gguf"), "--router", join(folder, "router.safetensors")],
    ...["--experts", JSON.stringify(experts), "--preload", "math", "--expert-tokens", "200"],
    ...["--expert-sparsity", "0.3", "--drain-timeout-seconds", "60"],
  ]);
  const url = /http:[^"]+/.exec(await seap.untilLine("listening"))![0];
  const has = async (sample: string) => {
    const metrics = await (await fetch(`${url}/metrics`)).text();
    return metrics.includes(`\n${sample}`);
  };
  await seap.untilLine("model ready");
  while (!(await has('seap_expert_state{expert="math",state="resident"} 1'))) await delay(pollMs);
  return { ...seap, address: new URL(url).host, has };
}

async function writeModel(): Promise<void> {
  const modelPath = join(folder, "tiny.gguf");
  writeTinyGguf(modelPath);
  await writeTinyRouter(join(folder, "router.safetensors"), modelPath, tasks);
}

/** Which replica each conversation is with, asked one after the other. */
async function homesOf(haproxy: Haproxy): Promise<Map<string, string | undefined>> {
  const homes = new Map<string, string | undefined>();
  for (const conversation of conversations) {
    const headers = { "x-seap-conversation": conversation };
    const response = await haproxy.send("GET", "/v1/models", { headers });
    await text(response);
    homes.set(conversation, replicaOf(response));
  }
  return homes;
}

const storedExperts = async () =>
  (await artifactStore(join(folder, "cache")).keys()).filter((key) => key.startsWith("expert-"));

const numBuilders = async (...replicas: readonly Replica[]) => {
  const built = await Promise.all(
    replicas.map(({ has }) => has('seap_expert_build_seconds{expert="math"}')),
  );
  return built.filter(Boolean).length;
};

test("of two replicas one is killed, and only what it was answering fails", async (t) => {
  const tools = toolsOrSkip(t);
  if (tools === undefined) return;
  t.timeout(300_000);
  await writeModel();
  const [one, two] = await Promise.all([startReplica(t), startReplica(t)]);
  t.is(await numBuilders(one, two), 1);
  const stored = await storedExperts();
  t.is(stored.length, 1);

  const haproxy = new Haproxy(tools, {
    socket: join(folder, "haproxy.sock"),
    replicas: [one.address, two.address],
  });
  t.teardown(() => haproxy.stop());
  await haproxy.untilBoth();
  const homes = await homesOf(haproxy);
  t.deepEqual([...new Set(homes.values())].sort(), ["one", "two"]);
  t.deepEqual(await homesOf(haproxy), homes);

  const load = new ReplicaLoad(haproxy, conversations, question);
  const answeringBy = (replica: string) =>
    load.running.filter((exchange) => exchange.replica === replica);
  await load.until(() => answeringBy("one").length >= 3 && answeringBy("two").length >= 1);
  const underWay = answeringBy("one").length;
  const kept = answeringBy("two");
  one.child.kill("SIGKILL");
  await one.ended;
  const goneMs = performance.now();
  const before = load.exchanges.length;
  // Also in the conversations of the one that is gone.
  await load.until(({ exchanges }) =>
    conversations.every((conversation) =>
      exchanges
        .slice(before)
        .some((each) => each.conversation === conversation && each.outcome === "whole"),
    ),
  );
  const killed = await load.stop();
  const failed = killed.filter(({ outcome }) => outcome === "failed");
  t.true(failed.length >= 3);
  const wronglyFailed = (each: Exchange) => each.replica === "two" || each.startedMs > goneMs;
  t.deepEqual(failed.filter(wronglyFailed), []);
  t.true(kept.every(({ outcome }) => outcome === "whole"));
  const later = killed.slice(before);
  t.true(later.every(({ replica, outcome }) => replica === "two" && outcome === "whole"));

  const { port } = new URL(`http://${one.address}`);
  const again = await startReplica(t, Number(port));
  await haproxy.untilBoth();
  t.deepEqual(await homesOf(haproxy), homes);
  t.is(await numBuilders(again), 0);
  t.deepEqual(await storedExperts(), stored);

  // Answers that take longer than HAProxy does to find out.
  const slow = await fetch(`http://${two.address}/v1/completions`, {
    ...{ method: "POST", headers: { "content-type": "application/json" } },
    body: JSON.stringify({ prompt: "Tell me", max_tokens: 1900, ignore_eos: true, stream: true }),
  });
  const restart = new ReplicaLoad(haproxy, conversations, question);
  await restart.until(
    ({ running }) => running.filter(({ replica }) => replica === "two").length >= 2,
  );
  two.child.kill("SIGTERM");
  await haproxy.untilDown("two");
  const served = restart.exchanges.length;
  await restart.until(({ exchanges }) => exchanges.length >= served + conversations.length);
  await slow.body!.cancel();
  t.is(await two.ended, 0);
  const drained = await restart.stop();
  t.deepEqual(
    drained.filter(({ outcome }) => outcome === "failed"),
    [],
  );

  const answers = [...killed, ...drained].filter(({ outcome }) => outcome === "whole");
  t.is(new Set(answers.map(({ detail }) => detail)).size, 1);
  t.log(
    `killed: ${failed.length} of ${killed.length} answers failed, ${underWay} were under way on it; ` +
      `stopped: 0 of ${drained.length} failed; 1 build for 3 starts; every answer the same text`,
  );
});
