/**
 * A grammar's automaton over bytes, with a call for each mention of a rule. States and rules are numbered from 0; what
 * belongs to number `i` lies at `[starts[i], starts[i + 1])`. The lists lie in one shared buffer, so that threads hand them
 * on without copying.
 */
export interface Automaton extends AutomatonLists {
  /** Two automata have the same key where they are the same. */
  readonly key: string;
  readonly sizeBytes: number;
  /** State that the root begins in. */
  readonly start: number;
}

export interface AutomatonLists {
  /** By one byte of a range. */
  readonly edgeStarts: Uint32Array;
  readonly edgeFirsts: Uint8Array;
  readonly edgeLasts: Uint8Array;
  readonly edgeTargets: Uint32Array;
  /** Without a byte; also past a call, where the rule has the empty text. */
  readonly jumpStarts: Uint32Array;
  readonly jumpTargets: Uint32Array;
  /** By a text of a rule that is not the empty one. */
  readonly callStarts: Uint32Array;
  readonly callRules: Uint32Array;
  readonly callTargets: Uint32Array;
  /** How each state stands to the end of its rule: one of {@link ending}. */
  readonly endings: Uint8Array;
  /** States with edges or calls that a rule may begin in. What it calls there are rules of higher numbers. */
  readonly ruleStarts: Uint32Array;
  readonly ruleStates: Uint32Array;
}

/** How a state stands to the end of its rule. */
export const ending = {
  none: 0,
  /** The rule ends here, and nothing else follows. */
  end: 1,
  /** Nothing follows but jumps to the end. */
  beforeEnd: 2,
} as const;
