import { buildAutomaton } from "../../engine/grammar/automaton.ts";
import type { Grammar } from "../../engine/grammar/grammar.ts";
import { Positions } from "../../engine/grammar/positions.ts";
import { maxWork } from "../../engine/grammar/work-limit.ts";

/** Whether texts belong to a grammar. */
export function accepter(grammar: Grammar): (text: string | Uint8Array) => boolean {
  let numStacks = 0;
  const positions = new Positions(buildAutomaton(grammar), () => ++numStacks);
  return (text) => {
    let position = positions.start();
    for (const byte of typeof text === "string" ? Buffer.from(text) : text) {
      positions.work.allow(maxWork);
      const next = positions.step(position, byte);
      if (next === null) return false;
      position = next;
    }
    return position.isEnd;
  };
}
