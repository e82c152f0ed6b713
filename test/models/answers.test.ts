import { readFileSync } from "node:fs";
import test from "ava";
import type { ExecutionContext } from "ava";
import { openDevice } from "../../engine/device/open-device.ts";
import { loadStages } from "../../engine/run/load-stages.ts";
import { preparedStages } from "../../model/prepared/prepared-stages.ts";
import { createChatTemplate } from "../../model/text/chat-template.ts";
import { createTokenizer } from "../../model/text/tokenizer.ts";
import { openModel } from "../../model/weights/open-model.ts";
import { forwardAlone } from "../helpers/forward-alone.ts";
import { namedModelPath } from "../helpers/named-model.ts";

// What llama.cpp says of the same files: see make-model-answers.mjs, which has written the fixture.

interface ModelAnswers {
  readonly sha256: string;
  readonly prompts: readonly {
    readonly question: string;
    readonly tokenIds: readonly number[];
    /** Greedy. */
    readonly answer: readonly number[];
  }[];
  readonly text: {
    readonly tokenIds: readonly number[];
    /** Of each token but the first. */
    readonly logprobs: readonly number[];
  };
}

const { models } = JSON.parse(readFileSync("test/fixtures/model-answers.json", "utf8")) as {
  readonly models: Readonly<Record<string, ModelAnswers>>;
};

/**
 * llama.cpp rounds activations to 8 bits in blocks of 256, the server in blocks of 32 and weights to 8 bits once more.
 * In nats: the root mean square of single tokens, and the mean of 200. With fp32 weights the former are 0.05 to 0.12.
 */
const tolerance = { single: 0.2, mean: 0.02 };
/** Of the greedy tokens; others were nearly as likely. */
const leastSame = 0.95;
/** Logits that another token is ahead by at most. */
const largestMargin = 1;

for (const [name, expected] of Object.entries(models)) {
  test.serial(
    `${name}: tokens, greedy answers and log-probabilities are those of llama.cpp`,
    async (t) => {
      t.timeout(900_000);
      const model = await openNamed(t, name);
      if (model === null) return t.pass();
      for (const { question, tokenIds } of expected.prompts) {
        t.deepEqual([...model.encode(question)], [...tokenIds], question);
      }

      const { tokenIds, logprobs } = expected.text;
      const rows = await model.logits(tokenIds);
      // Not what comes after a single token: of some models its activations are so large that 8 bits say little of them.
      const differences = logprobs
        .map((logprob, i) => logProbability(rows(i), tokenIds[i + 1]!) - logprob)
        .slice(1);
      const single = Math.sqrt(mean(differences.map((value) => value ** 2)));
      t.log(
        `${name}: log-probabilities differ by ${single.toFixed(3)} (rms), ${mean(differences).toFixed(4)} (mean)`,
      );
      t.true(single < tolerance.single);
      t.true(Math.abs(mean(differences)) < tolerance.mean);

      let numSame = 0;
      let numTokens = 0;
      let margin = 0;
      for (const { tokenIds, answer } of expected.prompts) {
        const rows = await model.logits([...tokenIds, ...answer]);
        for (const [i, token] of answer.entries()) {
          const row = rows(tokenIds.length - 1 + i);
          const best = row.reduce((most, value, id) => (value > row[most]! ? id : most), 0);
          numTokens += 1;
          if (best === token) numSame += 1;
          else margin = Math.max(margin, row[best]! - row[token]!);
        }
      }
      t.log(
        `${name}: ${numSame} of ${numTokens} greedy tokens are the same, others ahead by ${margin.toFixed(2)} at most`,
      );
      t.true(numSame >= leastSame * numTokens);
      t.true(margin < largestMargin);
    },
  );
}

/** Null, after a line, where the model is not at hand. */
async function openNamed(t: ExecutionContext, name: string) {
  const found = await namedModelPath(t, name);
  if (found === null) return null;
  const { path, preparedFolder } = found;
  const { weights, tokenizer: source } = await openModel(path, {
    contentHash: models[name]!.sha256,
  });
  const tokenizer = createTokenizer(source);
  const template = createChatTemplate(source, tokenizer);
  const device = await openDevice({ numThreads: 2, config: weights.config });
  const { trunk, middle, head } = await loadStages(
    device,
    preparedStages(weights, {
      ...{ modelPath: path, format: "q8", name: "dense", numThreads: 2, folder: preparedFolder },
      onProblem: (text) => t.log(text),
    }),
  );
  t.teardown(async () => {
    for (const stage of [trunk, ...middle, head]) await stage.dispose();
    weights.close();
  });
  return {
    encode: (content: string) =>
      template.encode([{ role: "user", content }], { addGenerationPrompt: true }),
    async logits(tokenIds: readonly number[]) {
      const all = await forwardAlone(device, [trunk, ...middle, head], tokenIds);
      const { vocabSize } = weights.config;
      return (row: number) => all.subarray(row * vocabSize, (row + 1) * vocabSize);
    },
  };
}

function logProbability(row: Float32Array, token: number): number {
  const largest = row.reduce((a, b) => Math.max(a, b));
  const sum = row.reduce((total, value) => total + Math.exp(value - largest), 0);
  return row[token]! - largest - Math.log(sum);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
