import { EventEmitter } from "node:events";
import test from "ava";
import { interruptible, InterruptedError } from "../../bin/interruption.ts";

test("a signal ends the work with the message, and the next one is left to the process", async (t) => {
  for (const name of ["SIGINT", "SIGTERM"]) {
    const signals = new EventEmitter();
    const work = (signal: AbortSignal) => {
      signals.emit(name);
      t.is(signals.listenerCount("SIGINT") + signals.listenerCount("SIGTERM"), 0);
      signal.throwIfAborted();
      return Promise.resolve();
    };
    const error = await t.throwsAsync(interruptible(signals, "Kept.", work), {
      instanceOf: InterruptedError,
    });
    t.is(error.message, "Kept.");
  }
});

test("without a signal the result comes back and nobody listens any more", async (t) => {
  const signals = new EventEmitter();
  t.is(await interruptible(signals, "", () => Promise.resolve(7)), 7);
  await t.throwsAsync(interruptible(signals, "", () => Promise.reject(new Error("x"))));
  t.is(signals.listenerCount("SIGINT") + signals.listenerCount("SIGTERM"), 0);
});
