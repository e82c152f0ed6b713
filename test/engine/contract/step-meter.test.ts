import test from "ava";
import { StepMeter } from "../../../engine/contract/step-meter.ts";

function createMeter() {
  let nowMs = 1000;
  const meter = new StepMeter(() => nowMs);
  const after = (ms: number, phase: Parameters<StepMeter["lap"]>[0]) => {
    nowMs += ms;
    meter.lap(phase);
  };
  return { meter, after };
}

test("the time since the last lap is the phase's, and laps of a phase add up", (t) => {
  const { meter, after } = createMeter();
  meter.begin("decode");
  after(1, "kv");
  after(2, "trunk");
  after(500, "sample");
  after(250, "grammar");
  after(500, "sample");
  meter.countRows("code", 3);
  meter.countRows("math", 0);
  meter.countTokens(3);
  t.is(meter.secondsOf("sample"), 1);
  t.is(meter.secondsOf("head"), 0);
  meter.end();
  t.deepEqual(meter.take(), {
    steps: [
      {
        pass: "decode",
        seconds: { kv: 0.001, trunk: 0.002, sample: 1, grammar: 0.25 },
        experts: { code: 3 },
        drafts: [],
        tokens: 3,
      },
    ],
    preemptions: 0,
  });
  t.is(meter.secondsOf("sample"), 0);
  t.deepEqual(meter.take(), { steps: [], preemptions: 0 });
});

test("what is done between steps, and steps that came to nothing, leave no record", (t) => {
  const { meter, after } = createMeter();
  after(5, "trunk");
  meter.countTokens(4);
  meter.begin("prefill");
  meter.end();
  after(5, "head");
  t.deepEqual(meter.take().steps, []);
});

test("a step that failed is forgotten, and preemptions are counted outside steps", (t) => {
  const { meter, after } = createMeter();
  meter.begin("decode");
  after(5, "trunk");
  meter.begin("prefill");
  after(7, "trunk");
  meter.end();
  meter.countPreemption();
  const { steps, preemptions } = meter.take();
  t.deepEqual(
    steps.map(({ pass, seconds }) => [pass, seconds]),
    [["prefill", { trunk: 0.007 }]],
  );
  t.is(preemptions, 1);
});
