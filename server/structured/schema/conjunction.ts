import { GrammarTextError } from "../grammar-text-error.ts";
import type { Choice, Part } from "./parts.ts";

/** Parts that must hold of one value together, with all that they bring in. */
export interface Conjunction {
  /** The same for the same parts and choices, another for others. */
  readonly key: string;
  readonly path: string;
  readonly parts: readonly Part[];
  /** Still to be made. */
  readonly choices: readonly Choice[];
  /** Part that allows nothing. */
  readonly never: Part | undefined;
  /** The part that has brought in all others; undefined where there are several. */
  readonly root: Part | undefined;
}

/** Puts parts together, each once. */
export class Conjunctions {
  /** Parts that do not lead to themselves. */
  readonly #sound = new Set<Part>();
  readonly #spend: (work: number) => void;

  /** @param spend - counts what it costs */
  constructor(spend: (work: number) => void) {
    this.#spend = spend;
  }

  /**
   * @param chosen - what has been chosen so far of the choices that they bring in, by choice
   * @throws GrammarTextError when a part refers to itself without anything between
   */
  of(roots: readonly Part[], chosen: ReadonlyMap<number, Part>): Conjunction {
    const seen = new Set<Part>();
    const choices = new Map<number, Choice>();
    const open = [...roots, ...chosen.values()].reverse();
    for (let part = open.pop(); part !== undefined; part = open.pop()) {
      if (seen.has(part)) continue;
      this.#check(part, new Set());
      seen.add(part);
      for (const choice of part.choices) if (!chosen.has(choice.id)) choices.set(choice.id, choice);
      open.push(...part.all.toReversed());
      this.#spend(1 + part.all.length);
    }
    const parts = [...seen].filter(saysSomething);
    const numbers = (list: Iterable<number>) => [...list].sort((a, b) => a - b).join();
    const root = roots.length === 1 ? roots[0] : undefined;
    return {
      key: [numbers(parts.map(({ id }) => id)), numbers(choices.keys()), root?.id].join(";"),
      path: roots[0]!.path,
      parts,
      choices: [...choices.values()],
      never: parts.find(({ isNever }) => isNever),
      root,
    };
  }

  #check(part: Part, above: Set<Part>): void {
    if (this.#sound.has(part)) return;
    if (above.has(part)) throw new GrammarTextError("it refers to itself", part.path);
    above.add(part);
    const alternatives = part.choices.flatMap((choice) => choice.alternatives);
    for (const next of [...part.all, ...alternatives]) this.#check(next, above);
    above.delete(part);
    this.#sound.add(part);
  }
}

/** More may lead to themselves, which is found elsewhere. */
const maxReferences = 20;

/** What a part refers to where it says nothing else. */
export function withoutReferences(part: Part): Part {
  let found = part;
  for (let i = 0; i < maxReferences; i++) {
    const [only, ...others] = found.all;
    if (only === undefined || others.length > 0) break;
    if (found.choices.length > 0 || saysSomething(found)) break;
    found = only;
  }
  return found;
}

function saysSomething(part: Part): boolean {
  return (
    part.isNever ||
    part.isFraction ||
    part.excluded.length > 0 ||
    part.excludedPattern !== undefined ||
    part.unenforced.length > 0 ||
    Object.keys(part.keywords).some((keyword) => tells.has(keyword)) ||
    Object.keys(part.own).length > 0
  );
}

/** Keywords outside of `own` that conversion looks at. */
const tells = new Set(["contains", "unevaluatedItems", "unevaluatedProperties"]);
