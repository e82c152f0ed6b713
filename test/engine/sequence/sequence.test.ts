import test from "ava";
import { InferenceError, NoTokenLeftError } from "../../../engine/contract/errors.ts";
import type { GenerateEvent } from "../../../engine/contract/request.ts";
import { buildAutomaton } from "../../../engine/grammar/automaton.ts";
import { Grammars } from "../../../engine/grammar/grammars.ts";
import { Sequence } from "../../../engine/sequence/sequence.ts";
import type { TokenTable } from "../../../model/text/token-table.ts";
import { numberedTokens, requestFor } from "../../helpers/requests.ts";
import type { RequestOptions } from "../../helpers/requests.ts";

const size = 16;

/** Logits whose most likely token is `tokenId`. */
function logitsFor(tokenId: number): Float32Array {
  const logits = new Float32Array(size);
  logits[tokenId] = 1;
  return logits;
}

function start(options: RequestOptions, table: TokenTable = numberedTokens(size), now = () => 1) {
  return new Sequence(requestFor("a", [1, 2, 3], options), { table, size }, now);
}

/** Token `i` is byte `bytes[i]`. */
function byteTokens(bytes: readonly number[]): TokenTable {
  const offsets = Uint32Array.from({ length: size + 1 }, (_, i) => Math.min(i, bytes.length));
  return {
    bytes: Uint8Array.from(bytes),
    offsets,
    control: new Uint8Array(size),
    controlTexts: new Map(),
    eosTokenIds: [],
  };
}

function textOf(events: readonly GenerateEvent[]): string {
  return events.map((event) => ("text" in event ? event.text : "")).join("");
}

test("each token is an event with its text, the last one with the reason", (t) => {
  const sequence = start({ maxTokens: 2 });
  t.deepEqual(sequence.advance(logitsFor(7)), { type: "delta", text: "7 ", numTokens: 1 });
  t.false(sequence.finished);
  t.like(sequence.advance(logitsFor(8)), {
    type: "finish",
    reason: "length",
    text: "8 ",
    numTokens: 1,
    promptTokens: 3,
    completionTokens: 2,
  });
  t.true(sequence.finished);
});

test("a sequence knows its tokens", (t) => {
  const sequence = start({ maxTokens: 4 });
  t.deepEqual([sequence.numTokens, sequence.lastTokenId], [3, 3]);
  sequence.advance(logitsFor(9));
  t.deepEqual([sequence.numTokens, sequence.lastTokenId], [4, 9]);
  t.deepEqual([...sequence.tokenIds(1, 3)], [2, 3]);
  t.deepEqual([...sequence.tokenIds(2, 100)], [3, 9]);
});

test("an end-of-sequence token counts, adds no text and ends the answer", (t) => {
  const sequence = start({ ignoreEos: false }, numberedTokens(size, [5, 6]));
  sequence.advance(logitsFor(7));
  t.like(sequence.advance(logitsFor(6)), { reason: "stop", text: "", completionTokens: 2 });
});

test("an end-of-sequence token can be ignored", (t) => {
  const sequence = start({ ignoreEos: true, maxTokens: 2 }, numberedTokens(size, [5]));
  t.like(sequence.advance(logitsFor(5)), { type: "delta" });
  t.like(sequence.advance(logitsFor(5)), { type: "finish", reason: "length" });
});

test("a stop string ends the answer before it and is never shown", (t) => {
  const sequence = start({ stop: ["8 9"] });
  const events = [7, 8, 9].map((id) => sequence.advance(logitsFor(id)));
  t.is(textOf(events), "7 ");
  t.like(events.at(-1)!, { type: "finish", reason: "stop", completionTokens: 3 });
});

test("text held back for a stop string comes with the end", (t) => {
  const sequence = start({ stop: ["8 9"], maxTokens: 2 });
  const events = [7, 8].map((id) => sequence.advance(logitsFor(id)));
  t.is(textOf(events), "7 8 ");
  t.like(events[1]!, { reason: "length" });
});

test("a character split over tokens comes whole, a truncated one as U+FFFD at the end", (t) => {
  const [first, second] = new TextEncoder().encode("é");
  const whole = start({ maxTokens: 3 }, byteTokens([first!, second!]));
  t.deepEqual(
    [0, 1, 0].map((id) => textOf([whole.advance(logitsFor(id))])),
    ["", "é", "\ufffd"],
  );
});

test("the timings add up from arrival, start, first and last token", (t) => {
  let now = 1000;
  const sequence = start({ maxTokens: 2 }, numberedTokens(size), () => now);
  now = 1500;
  sequence.start();
  now = 1600;
  sequence.start(); // after a preemption
  now = 2500;
  sequence.advance(logitsFor(1));
  now = 4500;
  const event = sequence.advance(logitsFor(1));
  t.deepEqual(event.type === "finish" && event.timings, {
    queueSeconds: 0.5,
    prefillSeconds: 1,
    decodeSeconds: 2,
    ...{ headSeconds: 0, lastHeadSeconds: 0, sampleSeconds: 0 },
  });
});

test("the timings tell what the prefill's passes through the head took, and the first token's drawing", (t) => {
  let now = 1000;
  const sequence = start({ maxTokens: 2 }, numberedTokens(size), () => now);
  sequence.start();
  sequence.countPass(0);
  sequence.countPass(0.25);
  now = 2000;
  sequence.countPass(0.5);
  now = 2125;
  sequence.advance(logitsFor(1));
  sequence.countPass(4); // after a preemption
  now = 3000;
  const event = sequence.advance(logitsFor(1));
  t.like(event.type === "finish" && event.timings, {
    ...{ prefillSeconds: 1.125, decodeSeconds: 0.875 },
    ...{ headSeconds: 0.75, lastHeadSeconds: 0.5, sampleSeconds: 0.125 },
  });
});

test("logits without a number are an error and draw nothing", (t) => {
  const sequence = start({});
  t.throws(() => sequence.advance(new Float32Array(size).fill(NaN)), {
    instanceOf: InferenceError,
  });
  t.is(sequence.numTokens, 3);
});

test("a grammar decides what may be drawn, and where the answer ends", (t) => {
  const table = numberedTokens(size, [0]);
  const request = {
    ...requestFor("a", [1], { maxTokens: 5, ignoreEos: true }),
    grammar: buildAutomaton({ root: { kind: "text", text: "0 3 " }, rules: {} }),
  };
  // Token 0 ends an answer and has no text of its own.
  const offsets = table.offsets.map((offset) => Math.max(0, offset - 2));
  const tokens = { ...table, bytes: table.bytes.subarray(2), offsets };
  const grammars = new Grammars(tokens, size);
  const refused = new Sequence(request, { table: tokens, size, grammars }, () => 1);
  refused.prepare();
  t.throws(() => refused.advance(logitsFor(7)), { instanceOf: InferenceError });

  const grammar = buildAutomaton({ root: { kind: "text", text: "3 4 " }, rules: {} });
  const sequence = new Sequence(
    { ...request, grammar },
    { table: tokens, size, grammars: new Grammars(tokens, size) },
    () => 1,
  );
  t.true(sequence.hasGrammar);
  const events = [3, 4, 5].map((preferred) => {
    sequence.prepare();
    return sequence.advance(logitsFor(preferred));
  });
  t.is(textOf(events), "3 4 ");
  t.like(events[2], { type: "finish", reason: "stop", completionTokens: 3 });
});

test("a request for no token reads the prompt and ends", (t) => {
  const sequence = start({ maxTokens: 0 });
  const event = sequence.advance(logitsFor(3));
  t.like(event, { type: "finish", reason: "length", text: "", numTokens: 0, completionTokens: 0 });
  t.true(sequence.finished);
});

test("a stop token ends the answer as the end of a sequence does, whatever the model's own is", (t) => {
  const sequence = start({ more: { stopTokenIds: [6, 7] } });
  const events = [8, 7].map((id) => sequence.advance(logitsFor(id)));
  t.is(textOf(events), "8 ");
  t.like(events[1], { type: "finish", reason: "stop", completionTokens: 2 });
});

test("what ends the answer is part of its text where that is wanted", (t) => {
  const more = { includeStop: true, stopTokenIds: [7] };
  const byToken = start({ stop: ["7 8"], more });
  t.is(textOf([6, 7].map((id) => byToken.advance(logitsFor(id)))), "6 7 ");
  const byText = start({ stop: ["7 8"], more: { includeStop: true } });
  const events = [6, 7, 8].map((id) => byText.advance(logitsFor(id)));
  t.is(textOf(events), "6 7 8");
  t.like(events[2], { type: "finish", reason: "stop" });
});

test("nothing ends the answer before its smallest length: no token, no stop string", (t) => {
  const table = numberedTokens(size, [5]);
  const more = { minTokens: 3, stopTokenIds: [6] };
  const sequence = start({ ignoreEos: false, stop: ["1 "], more }, table);
  const logits = (...order: number[]) =>
    Float32Array.from({ length: size }, (_, id) => order.toReversed().indexOf(id));
  const events = [
    sequence.advance(logits(5, 6, 1)),
    sequence.advance(logits(6, 5, 1)),
    sequence.advance(logits(5, 6, 2)),
  ];
  t.is(textOf(events), "1 1 2 ");
  t.false(sequence.finished);
  t.like(sequence.advance(logits(5)), { type: "finish", reason: "stop", completionTokens: 4 });
});

test("control tokens add their text where that is wanted, and stop strings find it", (t) => {
  const table = {
    ...byteTokens([...Buffer.from("abc")]),
    controlTexts: new Map([[3, Buffer.from("<end>")]]),
  };
  const order = [0, 3, 1, 3, 2];
  const shown = start({ stop: ["d>c"], more: { keepControl: true } }, table);
  t.is(textOf(order.map((id) => shown.advance(logitsFor(id)))), "a<end>b<en");
  t.true(shown.finished);
  const hidden = start({}, table);
  t.is(textOf(order.map((id) => hidden.advance(logitsFor(id)))), "abc");
});

test("a grammar and what a request bans leave the rest, with the model's own log-probabilities", (t) => {
  const table = numberedTokens(size, [0]);
  const offsets = table.offsets.map((offset) => Math.max(0, offset - 2));
  const tokens = { ...table, bytes: table.bytes.subarray(2), offsets };
  const text = (content: string) => ({ kind: "text" as const, text: content });
  const alternatives = ["3 4 ", "3 5 ", "6 "].map(text);
  const grammar = buildAutomaton({ root: { kind: "choice", alternatives }, rules: {} });
  const more = { grammar, bannedTokens: [[3, 4]], minTokens: 9, logprobs: { numTop: 1 } };
  const vocabulary = { table: tokens, size, grammars: new Grammars(tokens, size) };
  const sequence = new Sequence(requestFor("a", [1], { more }), vocabulary, () => 1);
  const events = [3, 4, 7].map((preferred) => {
    sequence.prepare();
    return sequence.advance(logitsFor(preferred));
  });
  // Where the grammar has come to its end there is nothing else, whatever the smallest length.
  t.is(textOf(events), "3 5 ");
  t.like(events[2], { type: "finish", reason: "stop", completionTokens: 3 });
  t.like(events[1], { logprobs: [{ tokenId: 5, top: [[4]] }] });

  const allowedTokens = Int32Array.of(1 << 9);
  const stuck = new Sequence(
    requestFor("b", [1], { more: { grammar, allowedTokens } }),
    vocabulary,
    () => 1,
  );
  stuck.prepare();
  t.throws(() => stuck.advance(logitsFor(3)), { instanceOf: NoTokenLeftError });
});
