import test from "ava";
import { Turnstile } from "../../../engine/experts/turnstile.ts";

test("open, it lets jobs through at once; closed, one a turn in the order in which they came", async (t) => {
  let numCalls = 0;
  const done: number[] = [];
  const turnstile = new Turnstile(() => numCalls++);
  const job = (number: number) => () => Promise.resolve(done.push(number));
  t.is(await turnstile.run(job(1)), 1);
  t.is(numCalls, 0);
  turnstile.close();
  const jobs = [2, 3, 4].map((number) => turnstile.run(job(number)));
  t.is(numCalls, 3);
  t.deepEqual(done, [1]);
  await turnstile.next();
  t.deepEqual(done, [1, 2]);
  t.true(turnstile.hasJobs);
  await turnstile.open();
  t.deepEqual(await Promise.all(jobs), [2, 3, 4]);
  t.is(await turnstile.run(job(5)), 5);
  t.false(turnstile.hasJobs);
  await turnstile.next();
});

test("a job that fails tells its owner, and the next one has its turn", async (t) => {
  const turnstile = new Turnstile(() => undefined);
  turnstile.close();
  const failing = turnstile.run(() => Promise.reject(new Error("no memory")));
  const next = turnstile.run(() => Promise.resolve("next"));
  const failed = t.throwsAsync(failing, { message: "no memory" });
  await turnstile.next();
  await failed;
  await turnstile.next();
  t.is(await next, "next");
});
