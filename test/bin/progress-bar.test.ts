import test from "ava";
import { ProgressBar } from "../../bin/progress-bar.ts";

function barOf(isTty: boolean) {
  const clock = { ms: 0 };
  const written: string[] = [];
  const bar = new ProgressBar({
    write: (text) => written.push(text),
    isTty,
    now: () => clock.ms,
  });
  return { bar, clock, written };
}

test("on a terminal the bar is drawn over, at most ten times a second", (t) => {
  const { bar, clock, written } = barOf(true);
  bar.report("reading", 0, 200);
  for (clock.ms = 10; clock.ms <= 1000; clock.ms += 10) bar.report("reading", clock.ms / 10, 200);
  t.is(written.length, 11);
  t.is(written[0], "\r\x1b[Kreading [------------------------]   0 %");
  t.is(written.at(-1), "\r\x1b[Kreading [############------------]  50 %, 1 s left");
  bar.end();
  bar.end();
  t.is(written.length, 12);
  t.is(written.at(-1), "\r\x1b[K");
});

test("a line that stays takes the bar away first", (t) => {
  const { bar, written } = barOf(true);
  bar.report("reading", 1, 2);
  bar.line("note");
  t.deepEqual(written.slice(1), ["\r\x1b[K", "note\n"]);
});

test("elsewhere a line comes every five seconds, and none for what is quick", (t) => {
  const { bar, clock, written } = barOf(false);
  bar.report("quick", 0, 2);
  bar.report("quick", 2, 2);
  bar.report("slow", 0, 100);
  for (clock.ms = 1000; clock.ms <= 11_000; clock.ms += 1000) {
    bar.report("slow", clock.ms / 1000, 100);
  }
  bar.end();
  t.deepEqual(written, ["slow: 5 %, 95 s left\n", "slow: 10 %, 90 s left\n"]);
});

test("the time left counts from where a run went on, in minutes when it is long", (t) => {
  const { bar, clock, written } = barOf(false);
  bar.report("slow", 500, 1000);
  clock.ms = 10_000;
  bar.report("slow", 510, 1000);
  t.deepEqual(written, ["slow: 51 %, 9 min left\n"]);
});
