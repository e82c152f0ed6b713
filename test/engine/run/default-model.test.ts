import test from "ava";
import type { ExecutionContext } from "ava";
import { createChatTemplate } from "../../../model/text/chat-template.ts";
import { openModel } from "../../../model/weights/open-model.ts";
import { resolveModel } from "../../../model/source/source.ts";
import { createTokenizer } from "../../../model/text/tokenizer.ts";
import { forwardAlone } from "../../helpers/forward-alone.ts";
import { answerAlone, loadModel, LoopRun } from "../../helpers/loop-run.ts";
import type { LoadedStages } from "../../helpers/loop-run.ts";
import { plainForward } from "../../helpers/plain-forward.ts";
import { requestFor } from "../../helpers/requests.ts";

/** SmolLM2-135M-Instruct; the first run on a machine downloads it. */
async function openDefault(t: ExecutionContext) {
  t.timeout(300_000);
  const { path } = await resolveModel("default", { log: (line) => t.log(line) });
  const { weights, tokenizer: source } = await openModel(path);
  t.teardown(() => weights.close());
  const tokenizer = createTokenizer(source);
  const template = createChatTemplate(source, tokenizer);
  // With the template's own system prompt "The" and "L'Étoile" are a tie for the capital of France.
  const system = { role: "system", content: "You are a helpful assistant." };
  const promptFor = (content: string) =>
    template.encode([system, { role: "user", content }], { addGenerationPrompt: true });
  return { weights, tokenizer, promptFor, table: tokenizer.tokenTable };
}

/** Logits of all tokens, `[numTokens, vocabSize]`. */
async function allLogits(
  { device, stages }: LoadedStages,
  tokenIds: Uint32Array,
): Promise<Float32Array> {
  return forwardAlone(device, [stages.trunk, ...stages.middle, stages.head], tokenIds);
}

function argmax(row: Float32Array): number {
  return row.reduce((best, value, i) => (value > row[best]! ? i : best), 0);
}

test.serial("asked for the capital of France the default model says Paris", async (t) => {
  const { weights, promptFor, table } = await openDefault(t);
  const loaded = await loadModel(t, weights, "q8", 2);
  const request = requestFor("a", promptFor("What is the capital of France?"), {
    maxTokens: 24,
    ignoreEos: false,
  });
  const answer = await answerAlone(loaded, request, { table });
  t.log(answer);
  t.regex(answer, /Paris/);
});

test.serial(
  "16 parallel answers of the default model are those given alone, greedy and seeded",
  async (t) => {
    const { weights, promptFor, table } = await openDefault(t);
    const loaded = await loadModel(t, weights, "q8", 2);
    const topics = ["tea", "rain", "the moon", "a fox", "bread", "snow", "a train", "music"];
    const requests = Array.from({ length: 16 }, (_, i) =>
      requestFor(`r${i}`, promptFor(`Write a line about ${topics[i % 8]!}.`.repeat(1 + (i % 3))), {
        maxTokens: 8 + i,
        ignoreEos: false,
        sampling: i < 8 ? {} : { temperature: 0.8, topP: 0.95, seed: i },
      }),
    );
    const run = new LoopRun(loaded, { table, prefillChunk: 128 });
    for (const request of requests) run.add(request);
    await run.runToEnd();
    for (const request of requests) {
      t.is(run.text(request.id), await answerAlone(loaded, request, { table, prefillChunk: 128 }));
    }
  },
);

test.serial(
  "the default model's fp32 graph agrees with the plain forward pass to 1e-3",
  async (t) => {
    const { weights, tokenizer } = await openDefault(t);
    const { vocabSize } = weights.config;
    const loaded = await loadModel(t, weights, "f32", 2);
    const tokenIds = tokenizer.encode("The quick brown fox jumps over the lazy", {
      parseSpecial: false,
    });
    const actual = await allLogits(loaded, tokenIds);
    const expected = plainForward(weights, tokenIds);
    t.is(actual.length, expected.length);
    let largest = 0;
    for (let i = 0; i < expected.length; i++) {
      largest = Math.max(largest, Math.abs(actual[i]! - expected[i]!));
    }
    t.log(largest);
    t.true(largest < 1e-3);
    for (let token = 0; token < tokenIds.length; token++) {
      const [start, end] = [token * vocabSize, (token + 1) * vocabSize];
      t.is(argmax(actual.subarray(start, end)), argmax(expected.subarray(start, end)));
    }
  },
);
