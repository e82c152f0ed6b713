import test from "ava";
import {
  flexibleNumber,
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

test("each problem is asked once and judged both ways", async (t) => {
  const answers = new Map([
    ["a", "So 1,000 it is.\n#### 1,000"],
    ["b", "The answer is 12"],
    ["c", "I do not know"],
  ]);
  const problems = [
    { question: "a", final: "1000" },
    { question: "b", final: "12" },
    { question: "c", final: "3" },
  ];
  const asked: string[] = [];
  const { strict, flexible } = await solveProblems(problems, (prompt) => {
    asked.push(prompt);
    return Promise.resolve(answers.get(prompt)!);
  });
  t.deepEqual(asked, ["a", "b", "c"]);
  t.deepEqual([...strict], [1, 0, 0]);
  t.deepEqual([...flexible], [1, 1, 0]);
});
