import type { GrammarNode } from "../../../engine/grammar/grammar.ts";
import type { JsonRules } from "../json-text.ts";
import type { RuleSet } from "../nodes.ts";
import type { Part, Parts } from "./parts.ts";
import type { Patterns } from "./patterns.ts";
import type { ValueCheck } from "./value-check.ts";

/** What the grammars of the types need to know of the schema that they are part of. */
export interface Conversion {
  readonly rules: RuleSet;
  readonly json: JsonRules;
  readonly parts: Parts;
  readonly patterns: Patterns;
  readonly check: ValueCheck;

  /** Values that all of some parts allow. */
  readonly valueOf: (parts: readonly Part[]) => GrammarNode;

  /** The values that all of some parts allow, where they are few; null where they are not. */
  readonly listOf: (parts: readonly Part[]) => readonly unknown[] | null;

  /**
   * Says that a keyword does not get enforced.
   * @throws GrammarTextError when all must be
   */
  readonly leaveOut: (part: Part, keyword: string, reason?: string) => void;

  /** As `leaveOut`, for what nobody must enforce. */
  readonly note: (part: Part, keyword: string) => void;

  /** @returns the grammar of no value, having kept the reason */
  readonly contradiction: (part: Part, reason: string) => GrammarNode;

  /** @throws GrammarTextError when the schema costs too much */
  readonly spend: (work: number) => void;
}
