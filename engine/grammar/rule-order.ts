import { GrammarError } from "../contract/errors.ts";
import type { AutomatonStates } from "./automaton-states.ts";
import type { SortedLists } from "./lists.ts";

/** Where rules may be before their first byte. */
export interface Beginnings {
  /** By rule, without the states that a rule which it calls may be in. */
  readonly states: readonly (readonly number[])[];
  /** By rule: it has the empty text. */
  readonly isEmpty: readonly boolean[];
}

/** @param calls - of the columns rule and target */
export function findBeginnings(
  rules: AutomatonStates["rules"],
  jumps: SortedLists,
  calls: SortedLists,
): Beginnings {
  const states = rules.map(() => [] as number[]);
  const isEmpty = rules.map(() => false);
  /** Where to go on when a rule turns out to have the empty text. */
  const waiting = rules.map(() => [] as (readonly [rule: number, state: number])[]);
  const seen = new Set<number>();
  const work = rules.map(([start], rule) => [rule, start] as readonly [number, number]);
  const [jumpTargets] = jumps.columns;
  const [callRules, callTargets] = calls.columns;
  for (let next = work.pop(); next !== undefined; next = work.pop()) {
    const [rule, state] = next;
    if (seen.has(state)) continue;
    seen.add(state);
    states[rule]!.push(state);
    if (state === rules[rule]![1]) {
      isEmpty[rule] = true;
      work.push(...waiting[rule]!.splice(0));
    }
    for (let i = jumps.starts[state]!; i < jumps.starts[state + 1]!; i++) {
      work.push([rule, jumpTargets![i]!]);
    }
    for (let i = calls.starts[state]!; i < calls.starts[state + 1]!; i++) {
      const called = callRules![i]!;
      const place = [rule, callTargets![i]!] as const;
      if (isEmpty[called]) work.push(place);
      else waiting[called]!.push(place);
    }
  }
  return { states, isEmpty };
}

/**
 * By rule, its place in an order in which each comes before those that it begins with.
 * @param calls - of the columns rule and target
 * @throws GrammarError when a rule begins with itself: it could be entered without end before the first byte
 */
export function orderRules({ states }: Beginnings, calls: SortedLists): Uint32Array {
  const places = new Uint32Array(states.length);
  let place = states.length;
  const isFinished = new Uint8Array(states.length);
  const begun = new Map<number, Iterator<number, undefined>>();
  for (const first of states.keys()) {
    const path = [first];
    while (path.length > 0) {
      const rule = path.at(-1)!;
      let called = begun.get(rule);
      if (called === undefined) begun.set(rule, (called = calledFrom(states[rule]!, calls)));
      const next = isFinished[rule] ? undefined : called.next().value;
      if (next === undefined) {
        path.pop();
        if (!isFinished[rule]) places[rule] = --place;
        isFinished[rule] = 1;
      } else if (!begun.has(next)) path.push(next);
      else if (!isFinished[next]) {
        throw new GrammarError("The grammar has a rule that begins with itself.");
      }
    }
  }
  return places;
}

function* calledFrom(states: readonly number[], calls: SortedLists): Generator<number, undefined> {
  for (const state of states) {
    for (let i = calls.starts[state]!; i < calls.starts[state + 1]!; i++) {
      yield calls.columns[0]![i]!;
    }
  }
}
