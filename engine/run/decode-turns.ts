import type { Tokens } from "../contract/tokens.ts";
import type { Middle } from "./middles.ts";
import type { SequenceState } from "./sequence-states.ts";

export type DecodeMember = [Tokens, SequenceState];

/** Sequences of one middle and one size of KV, which decode as one batch. */
export interface DecodeGroup {
  readonly middle: Middle;
  readonly members: readonly DecodeMember[];
}

/** Of the time of all decode steps, that a group may take however few it has: others are slowed down by a sixth. */
const leastShare = 1 / 7;

/** Of its share by number, that a group may take: where times differ by less, all take part in each step. */
const shareFactor = 2;

/**
 * Chooses which groups take part in a decode step. A group of few sequences that takes much of the time, such as a single
 * long one, makes up for that by sitting out steps, so that the many are not as slow as the few. Rows of a batch do not
 * depend on each other, so neither do answers on this.
 */
export class DecodeTurns {
  readonly #now: () => number;
  /** Milliseconds that a group has taken beyond its share. */
  readonly #owed = new Map<string, number>();
  #groups = new Map<string, DecodeGroup>();
  readonly #tookMs = new Map<DecodeGroup, number>();

  /** @param now milliseconds on a steady clock; where it stands still all groups take part */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The groups of a step. Some always take part where there are any. */
  begin(members: readonly DecodeMember[]): readonly DecodeGroup[] {
    this.#groups = groupsOf(members);
    this.#tookMs.clear();
    for (const key of this.#owed.keys()) if (!this.#groups.has(key)) this.#owed.delete(key);
    const all = [...this.#groups];
    const free = all.filter(([key]) => (this.#owed.get(key) ?? 0) === 0);
    return (free.length > 0 ? free : all).map(([, group]) => group);
  }

  /** Runs a group's part of the step and takes its time. */
  async measure<Result>(group: DecodeGroup, run: () => Promise<Result>): Promise<Result> {
    const startedAtMs = this.#now();
    const result = await run();
    this.#tookMs.set(group, this.#now() - startedAtMs);
    return result;
  }

  /** The step is over. */
  end(): void {
    let [totalMs, numSequences] = [0, 0];
    for (const tookMs of this.#tookMs.values()) totalMs += tookMs;
    for (const { members } of this.#groups.values()) numSequences += members.length;
    for (const [key, group] of this.#groups) {
      const share = Math.max(leastShare, (shareFactor * group.members.length) / numSequences);
      const owed = (this.#owed.get(key) ?? 0) + (this.#tookMs.get(group) ?? 0) - share * totalMs;
      this.#owed.set(key, Math.max(0, owed));
    }
    this.#groups = new Map();
    this.#tookMs.clear();
  }
}

function groupsOf(members: readonly DecodeMember[]): Map<string, DecodeGroup> {
  const groups = new Map<string, { middle: Middle; members: DecodeMember[] }>();
  for (const member of members) {
    const { kv, middle } = member[1];
    const key = `${middle!.name} ${kv.sizeBytes}`;
    const group = groups.get(key);
    if (group) group.members.push(member);
    else groups.set(key, { middle: middle!, members: [member] });
  }
  return groups;
}
