import { createHash } from "node:crypto";
import { type Automaton, type AutomatonLists, ending } from "../contract/automaton.ts";
import { statesOf } from "./automaton-states.ts";
import type { Grammar } from "./grammar.ts";
import { Lists, type SortedLists } from "./lists.ts";
import { findBeginnings, orderRules } from "./rule-order.ts";

/** States and transitions together, which then take about ten megabytes. */
const maxSize = 1_000_000;

/** @throws GrammarError when the grammar is too large, refers to no rule, or has a rule that begins with itself */
export function buildAutomaton(grammar: Grammar): Automaton {
  const { numStates, rules, ...states } = statesOf(grammar, maxSize);
  const edges = states.edges.sorted(numStates);
  const calls = states.calls.sorted(numStates);
  const beginnings = findBeginnings(rules, states.jumps.sorted(numStates), calls);
  const ruleNumbers = orderRules(beginnings, calls);
  const [callRules, callTargets] = calls.columns;
  for (let state = 0; state < numStates; state++) {
    for (let i = calls.starts[state]!; i < calls.starts[state + 1]!; i++) {
      if (beginnings.isEmpty[callRules![i]!]) states.jumps.add(state, callTargets![i]!);
    }
  }
  const jumps = states.jumps.sorted(numStates);
  const hasBytes = (state: number) => hasRows(edges, state) || hasRows(calls, state);
  const ruleStates = new Lists(1);
  for (const [rule, beginning] of beginnings.states.entries()) {
    for (const state of beginning) if (hasBytes(state)) ruleStates.add(ruleNumbers[rule]!, state);
  }
  const { starts: ruleStarts, columns: sortedRuleStates } = ruleStates.sorted(rules.length);
  return share(rules[0]![0], {
    edgeStarts: edges.starts,
    edgeFirsts: Uint8Array.from(edges.columns[0]!),
    edgeLasts: Uint8Array.from(edges.columns[1]!),
    edgeTargets: edges.columns[2]!,
    jumpStarts: jumps.starts,
    jumpTargets: jumps.columns[0]!,
    callStarts: calls.starts,
    callRules: callRules!.map((rule) => ruleNumbers[rule]!),
    callTargets: callTargets!,
    endings: findEndings(
      rules.map(([, end]) => end),
      { numStates, jumps, hasBytes },
    ),
    ruleStarts,
    ruleStates: sortedRuleStates[0]!,
  });
}

function hasRows({ starts }: SortedLists, owner: number): boolean {
  return starts[owner]! < starts[owner + 1]!;
}

interface Ways {
  readonly numStates: number;
  readonly jumps: SortedLists;
  readonly hasBytes: (state: number) => boolean;
}

function findEndings(ends: readonly number[], { numStates, jumps, hasBytes }: Ways): Uint8Array {
  const endings = new Uint8Array(numStates);
  const targets = jumps.columns[0]!;
  const sources = new Lists(1);
  /** Jumps that may lead elsewhere. */
  const open = new Uint32Array(numStates);
  for (let state = 0; state < numStates; state++) {
    open[state] = jumps.starts[state + 1]! - jumps.starts[state]!;
    for (let i = jumps.starts[state]!; i < jumps.starts[state + 1]!; i++) {
      sources.add(targets[i]!, state);
    }
  }
  const back = sources.sorted(numStates);
  for (const end of ends) endings[end] = ending.end;
  const work = [...ends];
  for (let state = work.pop(); state !== undefined; state = work.pop()) {
    for (let i = back.starts[state]!; i < back.starts[state + 1]!; i++) {
      const source = back.columns[0]![i]!;
      if (--open[source]! > 0 || hasBytes(source)) continue;
      endings[source] = ending.beforeEnd;
      work.push(source);
    }
  }
  return endings;
}

/** Puts the lists into one buffer, behind each other. */
function share(start: number, lists: AutomatonLists): Automaton {
  const entries = Object.entries(lists) as [string, Uint8Array | Uint32Array][];
  const alignedLength = (list: Uint8Array | Uint32Array) => Math.ceil(list.byteLength / 4) * 4;
  const sizeBytes = entries.reduce((sum, [, list]) => sum + alignedLength(list), 0);
  const buffer = new SharedArrayBuffer(sizeBytes);
  const hash = createHash("sha256").update(`${start}`);
  const shared: Record<string, Uint8Array | Uint32Array> = {};
  let offset = 0;
  for (const [name, list] of entries) {
    const { length } = list;
    const copy =
      list instanceof Uint8Array
        ? new Uint8Array(buffer, offset, length)
        : new Uint32Array(buffer, offset, length);
    copy.set(list);
    hash.update(` ${length} `).update(list);
    shared[name] = copy;
    offset += alignedLength(list);
  }
  return {
    key: hash.digest("base64url"),
    sizeBytes,
    start,
    ...(shared as unknown as AutomatonLists),
  };
}
