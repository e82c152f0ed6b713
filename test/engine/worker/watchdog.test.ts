import test from "ava";
import { Watchdog } from "../../../engine/worker/watchdog.ts";
import { FakeClock } from "../../helpers/fake-experts.ts";

function start() {
  const clock = new FakeClock();
  const counts = { asked: 0, silences: 0 };
  const watchdog = new Watchdog({
    timeoutMs: 1000,
    setTimer: clock.setTimer,
    ask: () => counts.asked++,
    onSilence: () => counts.silences++,
  });
  return { clock, counts, watchdog };
}

test("who answers is asked again and again", (t) => {
  const { clock, counts, watchdog } = start();
  for (let i = 0; i < 50; i++) {
    clock.advance(100);
    watchdog.answered();
  }
  t.deepEqual(counts, { asked: 50, silences: 0 });
});

test("who does not answer is asked once, and told of once", (t) => {
  const { clock, counts } = start();
  for (let i = 0; i < 10; i++) clock.advance(100);
  t.deepEqual(counts, { asked: 1, silences: 0 });
  for (let i = 0; i < 10; i++) clock.advance(100);
  t.deepEqual(counts, { asked: 1, silences: 1 });
});

test("a long sleep of the machine is one turn, however long it was", (t) => {
  const { clock, counts, watchdog } = start();
  clock.advance(100);
  clock.advance(3_600_000);
  t.is(counts.silences, 0);
  watchdog.answered();
  for (let i = 0; i < 9; i++) clock.advance(100);
  t.is(counts.silences, 0);
});

test("one that was stopped does nothing more", (t) => {
  const { clock, counts, watchdog } = start();
  watchdog.stop();
  for (let i = 0; i < 20; i++) clock.advance(100);
  t.deepEqual(counts, { asked: 0, silences: 0 });
  t.is(clock.numTimers, 0);
});
