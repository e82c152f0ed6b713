import type { GrammarNode } from "../../../engine/grammar/grammar.ts";
import { GrammarTextError } from "../grammar-text-error.ts";
import { jsonText, JsonRules } from "../json-text.ts";
import { choice, isNothing, nothing, type RuleSet, text } from "../nodes.ts";
import { arrayNode } from "./array.ts";
import { type Conjunction, Conjunctions, withoutReferences } from "./conjunction.ts";
import type { Conversion } from "./conversion.ts";
import { withoutDeadEnds } from "./dead-ends.ts";
import { areDisjoint } from "./disjoint.ts";
import { numberNode } from "./number.ts";
import { objectNode } from "./object.ts";
import { type Choice, type Part, Parts } from "./parts.ts";
import { Patterns } from "./patterns.ts";
import { References } from "./references.ts";
import { isObject, type JsonType, keywordsByType, listOf } from "./schema.ts";
import { stringNode } from "./string.ts";
import { commonTypes, typesOfAll } from "./types.ts";
import { jsonKey, ValueCheck } from "./value-check.ts";

/** What converting a schema may cost, in parts looked at; the largest tool set that is known has 2,000. */
const maxWork = 100_000;

/** Each combination of conditions and alternatives at one place is converted. */
const maxCombinations = 512;

/** Where conversion goes on later, so that nesting needs no stack. */
interface Open {
  readonly conjunction: Conjunction;
  readonly roots: readonly Part[];
  readonly chosen: ReadonlyMap<number, Part>;
  readonly define: (node: GrammarNode) => void;
}

export interface ConverterOptions {
  readonly rules: RuleSet;
  /** All must be enforced. */
  readonly isStrict: boolean;
}

/** Makes rules of one schema: one for each combination of parts that must hold together. */
export class SchemaConverter implements Conversion {
  readonly rules: RuleSet;
  readonly json: JsonRules;
  readonly parts: Parts;
  readonly patterns = new Patterns();
  readonly check: ValueCheck;
  /** Paths of keywords that are left out. */
  readonly unenforced = new Set<string>();
  /** Number of the first of its own rules. */
  readonly #first: number;
  readonly #isStrict: boolean;
  readonly #conjunctions: Conjunctions;
  /** By the key of their conjunction. */
  readonly #known = new Map<string, GrammarNode>();
  /** By the parts that were mentioned, where those choose nothing. */
  readonly #byRoots = new Map<string, GrammarNode>();
  readonly #open: Open[] = [];
  #contradiction: GrammarTextError | null = null;
  #work = 0;
  /** Of what is converted. */
  #path = "";

  constructor(schema: unknown, { rules, isStrict }: ConverterOptions) {
    this.rules = rules;
    this.#first = rules.size;
    this.#isStrict = isStrict;
    this.json = new JsonRules(rules);
    this.parts = new Parts(new References(schema));
    this.check = new ValueCheck(this);
    this.#conjunctions = new Conjunctions(this.spend);
  }

  /** @throws GrammarTextError */
  convert(schema: unknown): GrammarNode {
    const node = this.valueOf([this.parts.read(schema, "", "schema:///")]);
    for (const next of this.#open) {
      const { conjunction, define } = next;
      this.#path = conjunction.path;
      define(this.#at(conjunction.path, () => this.#node(next)));
    }
    const root = withoutDeadEnds(this.rules, node, this.#first);
    if (!isNothing(root)) return root;
    throw this.#contradiction ?? new GrammarTextError("expected a schema that allows something");
  }

  readonly valueOf = (parts: readonly Part[]): GrammarNode =>
    this.#choose(parts.map(withoutReferences), new Map());

  readonly listOf = (parts: readonly Part[]): readonly unknown[] | null => {
    if (parts.length === 0) return null;
    const conjunction = this.#conjunctions.of(parts, new Map());
    if (conjunction.never !== undefined) return [];
    return conjunction.choices.length > 0 ? null : this.#listed(conjunction);
  };

  readonly spend = (work: number): void => {
    this.#work += work;
    if (this.#work <= maxWork) return;
    throw new GrammarTextError("the schema has too many combinations to convert", this.#path);
  };

  readonly leaveOut = (part: Part, keyword: string, reason?: string): void => {
    if (this.#isStrict) {
      throw new GrammarTextError(reason ?? `${keyword} is not supported`, part.path);
    }
    this.note(part, keyword);
  };

  readonly note = (part: Part, keyword: string): void => {
    this.unenforced.add(`${part.path}.${keyword}`);
  };

  readonly contradiction = (part: Part, reason: string): GrammarNode => {
    this.#contradiction ??= new GrammarTextError(reason, part.path);
    return nothing;
  };

  #choose(roots: readonly Part[], chosen: ReadonlyMap<number, Part>): GrammarNode {
    if (roots.length === 0) return this.json.value;
    const place = chosen.size > 0 ? null : roots.map(({ id }) => id).join();
    const same = place === null ? undefined : this.#byRoots.get(place);
    if (same !== undefined) return same;
    const node = this.#convert(this.#conjunctions.of(roots, chosen), roots, chosen);
    if (place !== null) this.#byRoots.set(place, node);
    return node;
  }

  #convert(
    conjunction: Conjunction,
    roots: readonly Part[],
    chosen: ReadonlyMap<number, Part>,
  ): GrammarNode {
    const { key, never, parts, choices, path } = conjunction;
    if (never !== undefined) {
      return this.contradiction(never, "expected a schema that allows something");
    }
    if (parts.length + choices.length === 0) return this.json.value;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    if (this.#at(path, () => commonTypes(parts))?.length === 0) {
      return this.contradiction(roots[0]!, "no type is allowed by all that is said of it");
    }
    // What belongs to a type costs more than a look.
    this.spend(5);
    const { rule, define } = this.rules.reserve();
    this.#known.set(key, rule);
    this.#open.push({ conjunction, roots, chosen, define });
    return rule;
  }

  #node({ conjunction, roots, chosen }: Open): GrammarNode {
    const { choices } = conjunction;
    const [first, ...others] = choices;
    if (first === undefined) return this.#plain(conjunction);
    const combinations = choices.reduce(
      (product, { alternatives: { length } }) => product * length,
      1,
    );
    const conditions = choices.filter(({ keyword }) => keyword !== "anyOf" && keyword !== "oneOf");
    if (combinations > maxCombinations && conditions.length > 0) {
      const without = new Map(chosen);
      for (const { id, owner, keyword } of conditions) {
        this.leaveOut(owner, keyword, `${keyword} is there too often to be supported`);
        without.set(id, this.parts.read(true, "", ""));
      }
      return this.#choose(roots, without);
    }
    // The fewer alternatives come first, the fewer combinations are begun in vain.
    const next = others.reduce(
      (least, other) => (other.alternatives.length < least.alternatives.length ? other : least),
      first,
    );
    this.#checkOneOf(next);
    return choice([
      ...new Set(
        next.alternatives.map((part) => this.#choose(roots, new Map(chosen).set(next.id, part))),
      ),
    ]);
  }

  /** One of the alternatives is what is enforced, not that it is the only one. */
  #checkOneOf({ keyword, owner, alternatives }: Choice): void {
    if (keyword === "oneOf" && !areDisjoint(owner, alternatives, this.parts))
      this.note(owner, keyword);
  }

  #plain(conjunction: Conjunction): GrammarNode {
    const { parts, root } = conjunction;
    for (const part of parts) for (const keyword of part.unenforced) this.leaveOut(part, keyword);
    const values = this.#listed(conjunction);
    if (values !== null) {
      return values.length === 0
        ? this.contradiction(parts[0]!, "enum and what is beside it allow no value")
        : choice(values.map((value) => text(jsonText(value))));
    }
    const excluded = parts.flatMap((part) => part.excluded);
    const types = typesOfAll(parts) ?? (excluded.length === 0 ? null : allTypes);
    if (types === null) return this.json.value;
    return choice(types.map((type) => this.#ofType(type, parts, { root, excluded })));
  }

  #ofType(
    type: JsonType,
    parts: readonly Part[],
    { root, excluded }: { root: Part | undefined; excluded: readonly unknown[] },
  ): GrammarNode {
    switch (type) {
      case "object":
        this.#leaveOutExcluded(parts, isObject);
        return objectNode(parts, root, this);
      case "array":
        this.#leaveOutExcluded(parts, Array.isArray);
        return arrayNode(parts, root, this);
      case "string":
        return stringNode(
          parts,
          excluded.filter((value) => typeof value === "string"),
          this,
        );
      case "integer":
      case "number":
        return numberNode(
          type,
          parts,
          excluded.filter((value) => typeof value === "number"),
          this,
        );
      case "boolean":
        return choice(
          [true, false]
            .filter((value) => !excluded.includes(value))
            .map((value) => text(String(value))),
        );
      case "null":
        return excluded.includes(null) ? nothing : text("null");
    }
  }

  #leaveOutExcluded(parts: readonly Part[], isOfType: (value: unknown) => boolean): void {
    const part = parts.find(({ excluded }) => excluded.some(isOfType));
    if (part !== undefined) this.leaveOut(part, "not");
  }

  /** The values that are listed and allowed; null where none are listed. */
  #listed({ parts }: Conjunction): readonly unknown[] | null {
    const lists = parts.flatMap(({ own, path }) => [
      ...(own["const"] === undefined ? [] : [[own["const"]]]),
      ...(own["enum"] === undefined ? [] : [this.#at(path, () => listOf(own, "enum")!)]),
    ]);
    const [first, ...others] = lists;
    if (first === undefined) return null;
    const shortest = others.reduce((a, b) => (b.length < a.length ? b : a), first);
    const distinct = new Map(shortest.map((value) => [jsonKey(value), value]));
    this.spend(distinct.size);
    for (const part of parts) this.#leaveOutPatterns(part);
    return [...distinct.values()].filter((value) =>
      parts.every((part) => this.check.allows(part, value)),
    );
  }

  #leaveOutPatterns(part: Part): void {
    const { pattern } = part.own;
    const problem = typeof pattern === "string" ? this.patterns.problemOf(pattern) : null;
    if (problem !== null) this.leaveOut(part, "pattern", problem);
  }

  /** Says of what goes wrong where it is. */
  #at<Result>(path: string, convert: () => Result): Result {
    try {
      return convert();
    } catch (error) {
      if (!(error instanceof GrammarTextError) || error.path !== "") throw error;
      throw new GrammarTextError(error.message, path);
    }
  }
}

const allTypes = (Object.keys(keywordsByType) as JsonType[]).filter((type) => type !== "integer");
