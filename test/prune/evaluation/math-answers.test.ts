import test from "ava";
import {
  flexibleNumber,
  maxAnswerTokens,
  solveProblems,
  strictNumber,
} from "../../../prune/evaluation/math-answers.ts";

test("the strict answer is the number after ####", (t) => {
  t.is(strictNumber("2 + 2 = 4\n#### 4"), "4");
  t.is(strictNumber("#### -1,200.5\nmore 7"), "-1200.5");
  t.is(strictNumber("#### 18."), "18");
  t.is(strictNumber("The answer is 4."), null);
});

test("the flexible answer is the last number", (t) => {
  t.is(flexibleNumber("She has 3 apples and pays $1,250."), "1250");
  t.is(flexibleNumber("It is 7"), "7");
  t.is(flexibleNumber("from 5 to -12 degrees"), "-12");
  t.is(flexibleNumber("none"), null);
});

test("all problems are asked at once and judged both ways", async (t) => {
  const answers = ["So 1,000 it is.\n#### 1,000", "The answer is 12", "I do not know"];
  const problems = ["1000", "12", "3"].map((final, index) => ({
    promptTokenIds: Uint32Array.of(index),
    final,
  }));
  const asked: number[] = [];
  const progress: number[] = [];
  let resolve = (): void => undefined;
  const allAsked = new Promise<void>((settle) => (resolve = settle));
  const generate = async ([index]: Uint32Array, maxTokens: number): Promise<string> => {
    t.is(maxTokens, maxAnswerTokens);
    asked.push(index!);
    if (asked.length === problems.length) resolve();
    await allAsked;
    return answers[index!]!;
  };
  const { strict, flexible } = await solveProblems(problems, generate, (done) => {
    progress.push(done);
  });
  t.deepEqual(asked, [0, 1, 2]);
  t.deepEqual(progress, [1, 2, 3]);
  t.deepEqual([...strict], [1, 0, 0]);
  t.deepEqual([...flexible], [1, 1, 0]);
});
