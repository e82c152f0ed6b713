import test from "ava";
import { EngineRestartingError } from "../../../engine/contract/errors.ts";
import type { GenerateRequest } from "../../../engine/contract/request.ts";
import { Placement } from "../../../engine/worker/placement.ts";
import { wholePrompt } from "../../../router/prompt-spans.ts";
import { expertSnapshot } from "../../helpers/expert-snapshot.ts";
import { FakeEngine } from "../../helpers/fake-engine.ts";
import { requestFor, somePrompt } from "../../helpers/requests.ts";

const blockTokens = 32;

function setUp(numEngines = 2, block: number | null = blockTokens) {
  const engines = Array.from({ length: numEngines }, () => new FakeEngine());
  const placement = new Placement(engines, { blockTokens: block });
  return {
    engines,
    /** Which engine the request gets, and what says that it leaves. */
    take: (request: GenerateRequest) => {
      const place = placement.take(request);
      return { ...place, index: engines.indexOf(place.engine as FakeEngine) };
    },
  };
}

/** A prompt whose beginning may be kept. */
function shared(prompt: readonly number[], cacheSalt = ""): GenerateRequest {
  return requestFor("a", prompt, { more: { cacheSalt } });
}

function ofTask(task: string | null, kind: "assigned" | "sticky" = "assigned"): GenerateRequest {
  const routing = {
    spans: wholePrompt(8),
    ...(kind === "assigned"
      ? { assigned: { task, reason: "override" as const } }
      : { sticky: { task, margin: 2 } }),
  };
  return requestFor("a", somePrompt(8), { routing });
}

const short = requestFor("a", somePrompt(8));

test("requests go in turn to engines that have as much to do", (t) => {
  const { take } = setUp(3);
  const places = Array.from({ length: 6 }, () => take(short));
  t.deepEqual(
    places.map(({ index }) => index),
    [0, 1, 2, 0, 1, 2],
  );
  places[4]!.leave();
  t.is(take(short).index, 1);
});

test("a long prompt counts until it is computed, once", (t) => {
  const { take } = setUp();
  const long = take(requestFor("a", somePrompt(2000)));
  t.is(long.index, 0);
  t.deepEqual([take(short).index, take(short).index, take(short).index], [1, 1, 1]);
  long.prefilled();
  long.prefilled();
  t.is(take(short).index, 0);
  long.leave();
  t.is(take(short).index, 0);
});

test("a prompt goes where its beginning is, as long as that is worth more than the work there", (t) => {
  const { take } = setUp();
  const conversation = somePrompt(1000);
  take(short);
  const first = take(shared(conversation));
  t.is(first.index, 1);
  first.leave();
  // The other engine has a sequence less, but would compute a thousand tokens.
  take(short).leave();
  const places = [take(short), take(short)];
  t.deepEqual(
    places.map(({ index }) => index),
    [1, 0],
  );
  t.is(take(shared([...conversation, ...somePrompt(40, 2)])).index, 1);
  for (let i = 0; i < 8; i++) take(shared(conversation));
  // By then both have seen it.
  const [a, b] = [take(shared(conversation)).index, take(shared(conversation)).index];
  t.deepEqual(new Set([a, b]), new Set([0, 1]));
});

test("the longest of the beginnings that engines have counts", (t) => {
  const { take } = setUp();
  const system = somePrompt(320);
  const [one, other] = [2, 3].map((seed) => [...system, ...somePrompt(320, seed)]);
  const first = take(shared(one!));
  take(shared(other!)).leave();
  first.leave();
  t.is(take(shared([...other!, 1, 2, 3])).index, 1);
  t.is(take(shared([...one!, 1, 2, 3])).index, 0);
});

test("nothing is known of prompts that may not be kept, of other salts and of parts of a block", (t) => {
  for (const [first, second] of [
    [requestFor("a", somePrompt(640)), requestFor("a", somePrompt(640))],
    [shared(somePrompt(640), "a"), shared(somePrompt(640), "b")],
    [shared(somePrompt(640)), shared(somePrompt(640).slice(1))],
    [shared(somePrompt(31)), shared(somePrompt(31))],
  ] as const) {
    const { take } = setUp();
    take(short);
    const place = take(first);
    t.is(place.index, 1);
    place.leave();
    take(short);
    t.is(take(second).index, 0);
  }
  const { take } = setUp(2, null);
  take(shared(somePrompt(640))).leave();
  take(short);
  t.is(take(shared(somePrompt(640))).index, 1);
});

test("a request whose task is known goes to an engine that has its expert, if that has little more to do", (t) => {
  for (const kind of ["assigned", "sticky"] as const) {
    const { engines, take } = setUp();
    engines[0]!.snapshots = [expertSnapshot("code", { state: "stored" })];
    engines[1]!.snapshots = [expertSnapshot("code", { state: "resident" })];
    t.deepEqual(
      [1, 2, 3, 4].map(() => take(ofTask("code", kind)).index),
      [1, 1, 0, 1],
    );
    t.is(take(ofTask("math", kind)).index, 0);
    t.is(take(ofTask(null, kind)).index, 0);
  }
});

test("an engine that takes no requests gets none", (t) => {
  const { engines, take } = setUp();
  engines[0]!.problem = new EngineRestartingError();
  t.deepEqual([take(short).index, take(short).index], [1, 1]);
  engines[0]!.problem = null;
  t.is(take(short).index, 0);
});
