import test from "ava";
import fc from "fast-check";
import type { Drafts } from "../../../engine/speculation/speculation.ts";
import { Speculation } from "../../../engine/speculation/speculation.ts";
import type { EngineLoopOptions } from "../../../engine/run/engine-loop.ts";
import type { GenerateRequest, SamplingParams } from "../../../engine/contract/request.ts";
import type { Sequence } from "../../../engine/sequence/sequence.ts";
import { answerAlone, loadModel, LoopRun } from "../../helpers/loop-run.ts";
import { requestFor, somePrompt, tokenIdsOf } from "../../helpers/requests.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

type Guessing = NonNullable<EngineLoopOptions["speculation"]>;

/** Knows the answers, and guesses as many tokens of each right as it is told to, and then wrong. */
class Oracle implements Guessing {
  readonly accepted: number[] = [];
  readonly #answers: ReadonlyMap<string, readonly number[]>;
  readonly #lengths: readonly (readonly [length: number, right: number])[];
  #numSteps = 0;

  constructor(
    answers: ReadonlyMap<string, readonly number[]>,
    lengths: readonly (readonly [length: number, right: number])[],
  ) {
    this.#answers = answers;
    this.#lengths = lengths;
  }

  plan(guessers: Parameters<Guessing["plan"]>[0]): Drafts {
    const [wanted, numRight] = this.#lengths[this.#numSteps++ % this.#lengths.length]!;
    const length = Math.min(wanted, ...guessers.map(({ mostTokens }) => mostTokens));
    if (length === 0) return new Map();
    return new Map(
      guessers.map(({ tokens }) => {
        const { id, request, numTokens } = tokens as Sequence;
        const answer = this.#answers.get(id)!.slice(numTokens - request.promptTokenIds.length);
        return [
          tokens,
          Uint32Array.from({ length }, (_, i) => {
            const right = answer[i] ?? 0;
            return i < numRight ? right : (right + 1) % 256;
          }),
        ];
      }),
    );
  }

  learn(_: unknown, numRight: number): void {
    this.accepted.push(numRight);
  }

  measured(): void {
    // It does not choose by cost.
  }
}

const samplings: readonly Partial<SamplingParams>[] = [
  {},
  { temperature: 1, topP: 0.95, seed: 42 },
  { temperature: 0.8, topK: 20, repetitionPenalty: 1.2, frequencyPenalty: 0.3, seed: 7 },
];

for (const format of ["f32", "q8"] as const) {
  test(`guesses change no answer, whatever is guessed and for how many at once: ${format}`, async (t) => {
    const loaded = await loadModel(t, tinyModel(), format);
    const requests = Array.from({ length: 9 }, (_, i): GenerateRequest =>
      requestFor(`r${i}`, somePrompt(3 + ((i * 31) % 100), i), {
        maxTokens: 8 + ((i * 13) % 30),
        sampling: samplings[i % 3]!,
      }),
    );
    const alone = new Map<string, string>();
    for (const request of requests) alone.set(request.id, await answerAlone(loaded, request));
    const answers = new Map([...alone].map(([id, text]) => [id, tokenIdsOf(text)]));
    const numAccepted: number[] = [];
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray(requests, { minLength: 1 }),
        fc.array(fc.tuple(fc.integer({ min: 0, max: 8 }), fc.integer({ min: 0, max: 8 })), {
          minLength: 1,
          maxLength: 5,
        }),
        fc.integer({ min: 1, max: 9 }),
        async (some, lengths, maxBatch) => {
          const speculation = new Oracle(answers, lengths);
          const run = new LoopRun(loaded, { maxBatch, speculation });
          for (const request of some) run.add(request);
          await run.runToEnd();
          for (const { id } of some) {
            t.is(run.text(id), alone.get(id)!);
            t.is(run.answer(id).numTokens, answers.get(id)!.length);
          }
          t.is(loaded.device.kvBytes, 0);
          numAccepted.push(...speculation.accepted);
        },
      ),
      { numRuns: 15, seed: 3 },
    );
    t.true(Math.max(...numAccepted) > 4);
    t.true(numAccepted.includes(0));
  });
}

test("an answer that repeats its prompt takes fewer steps, and ends where it would", async (t) => {
  const loaded = await loadModel(t, tinyModel(), "q8");
  const stepsFor = async (speculation: Guessing | null, request: GenerateRequest) => {
    const run = new LoopRun(loaded, speculation ? { speculation } : {});
    run.add(request);
    let numSteps = 0;
    for (; !run.loop.isIdle; numSteps++) await run.step();
    return { numSteps, text: run.text(request.id) };
  };
  const prompt = somePrompt(20);
  const plain = requestFor("a", prompt, { maxTokens: 60 });
  const answer = tokenIdsOf(await answerAlone(loaded, plain));
  // The answer is in the prompt of the same request, so that it can be looked up.
  for (const stop of [[], [` ${answer.at(-5)} `]]) {
    const request = requestFor("b", [...prompt, ...answer.slice(0, 30), ...prompt], {
      ...{ maxTokens: 60, stop },
    });
    const without = await stepsFor(null, request);
    const speculation = new Speculation({ mostTokens: 8 });
    // What passes take here says nothing of larger models.
    const withGuesses = await stepsFor(
      {
        plan: (guessers) => speculation.plan(guessers),
        learn: (...learned) => speculation.learn(...learned),
        measured: () => undefined,
      },
      request,
    );
    t.is(withGuesses.text, without.text);
    t.true(withGuesses.numSteps <= without.numSteps);
  }
});
