import { GrammarTextError } from "../grammar-text-error.ts";
import {
  type DerivedSchema,
  excluded,
  excludedPattern,
  isDerived,
  isFraction,
  negation,
} from "./negation.ts";
import { inTodaysWords } from "./older-drafts.ts";
import type { Located, References } from "./references.ts";
import {
  isAnnotation,
  isObject,
  keywordsByType,
  mapOf,
  namesOf,
  type Schema,
  schemasOf,
  unenforcedByType,
} from "./schema.ts";

/** A schema one of which must hold. */
export interface Choice {
  readonly id: number;
  /** The keyword that it stands for. */
  readonly keyword: "anyOf" | "oneOf" | "if" | "dependentRequired" | "dependentSchemas";
  /** Whose keyword it is. */
  readonly owner: Part;
  readonly alternatives: readonly Part[];
}

/** A schema of a document, taken apart. */
export interface Part {
  readonly id: number;
  /** In the document, as `.properties.name`. */
  readonly path: string;
  readonly base: string;
  readonly isNever: boolean;
  /** All its keywords, in the words of draft 2020-12. */
  readonly keywords: Schema;
  /** Those that say something of one value, and need no other schema at its place. */
  readonly own: Schema;
  /** Values that are not allowed. */
  readonly excluded: readonly unknown[];
  readonly excludedPattern: string | undefined;
  readonly isFraction: boolean;
  /** It names properties without saying that there are no others. */
  readonly isDerived: boolean;
  /** What else must hold at its place. */
  readonly all: readonly Part[];
  readonly choices: readonly Choice[];
  /** Keywords that no grammar is made of. */
  readonly unenforced: readonly string[];
}

const ownKeywords = new Set(["type", "enum", "const", ...Object.values(keywordsByType).flat()]);
const unenforcedKeywords = new Set(Object.values(unenforcedByType).flat());

/** Keywords that say nothing at these values. */
const neutral: Readonly<Record<string, unknown>> = {
  uniqueItems: false,
  unevaluatedItems: true,
  unevaluatedProperties: true,
};

/** Takes the schemas of a document apart, each once. */
export class Parts {
  readonly #references: References;
  readonly #parts = new Map<object, Part>();
  readonly #negations = new Map<unknown, unknown>();
  /** Of schemas that were made here. */
  readonly #bases = new Map<object, string>();
  #numChoices = 0;
  #numParts = 0;

  constructor(references: References) {
    this.#references = references;
  }

  /** @param base - of the schema around it */
  read(schema: unknown, path: string, base: string): Part {
    if (!isObject(schema)) {
      if (typeof schema === "boolean") return this.#constant(!schema, path, base);
      throw new GrammarTextError("expected a JSON Schema", path);
    }
    const known = this.#parts.get(schema);
    if (known !== undefined) return known;
    const own = this.#bases.get(schema) ?? this.#references.baseOf(schema, base);
    const part = new ReadPart(this, ++this.#numParts, { schema, path, base: own });
    this.#parts.set(schema, part);
    return part;
  }

  refer(reference: unknown, path: string, base: string): Part {
    const found = this.#references.find(reference, base);
    const pointer = /^#(\/.*)?$/s.exec(String(reference));
    const place = pointer === null ? path : (pointer[1] ?? "").replaceAll("/", ".");
    return this.read(found.schema, place, found.base);
  }

  isStatic(reference: unknown): boolean {
    return this.#references.isStatic(reference);
  }

  choice(keyword: Choice["keyword"], owner: Part, alternatives: readonly Part[]): Choice {
    return { id: ++this.#numChoices, keyword, owner, alternatives };
  }

  /** What a schema does not allow; null where that cannot be said. */
  negated(schema: unknown, path: string, base: string): Part | null {
    if (!this.#negations.has(schema)) {
      const resolve = (reference: unknown): unknown => {
        const found: Located = this.#references.find(reference, base);
        if (isObject(found.schema)) this.#bases.set(found.schema, found.base);
        return found.schema;
      };
      this.#negations.set(schema, negation(schema, resolve));
    }
    const negated = this.#negations.get(schema);
    return negated === undefined ? null : this.read(negated, path, base);
  }

  #constant(isNever: boolean, path: string, base: string): Part {
    const none: readonly never[] = [];
    return {
      id: ++this.#numParts,
      path,
      base,
      isNever,
      keywords: {},
      own: {},
      excluded: none,
      excludedPattern: undefined,
      isFraction: false,
      isDerived: true,
      all: none,
      choices: none,
      unenforced: none,
    };
  }
}

interface Applied {
  readonly all: Part[];
  readonly choices: Choice[];
  readonly unenforced: string[];
}

class ReadPart implements Part {
  readonly id: number;
  readonly path: string;
  readonly base: string;
  readonly isNever = false;
  readonly keywords: Schema;
  readonly own: Schema;
  readonly excluded: readonly unknown[];
  readonly excludedPattern: string | undefined;
  readonly isFraction: boolean;
  readonly isDerived: boolean;
  readonly #parts: Parts;
  #applied: Applied | null = null;

  constructor(
    parts: Parts,
    id: number,
    { schema, path, base }: { schema: DerivedSchema; path: string; base: string },
  ) {
    this.#parts = parts;
    this.id = id;
    this.path = path;
    this.base = base;
    this.keywords = inTodaysWords(schema);
    this.own = Object.fromEntries(
      Object.entries(this.keywords).filter(
        ([keyword, value]) => ownKeywords.has(keyword) && neutral[keyword] !== value,
      ),
    );
    this.excluded = schema[excluded] ?? [];
    this.excludedPattern = schema[excludedPattern];
    this.isFraction = schema[isFraction] ?? false;
    this.isDerived = schema[isDerived] ?? false;
  }

  get all(): readonly Part[] {
    return this.#apply().all;
  }

  get choices(): readonly Choice[] {
    return this.#apply().choices;
  }

  get unenforced(): readonly string[] {
    return this.#apply().unenforced;
  }

  /** Later than the rest, since schemas may refer to themselves. */
  #apply(): Applied {
    if (this.#applied !== null) return this.#applied;
    const applied: Applied = { all: [], choices: [], unenforced: [] };
    try {
      for (const [keyword, value] of Object.entries(this.keywords)) {
        this.#applyKeyword(keyword, value, applied);
      }
    } catch (error) {
      if (!(error instanceof GrammarTextError) || error.path !== "") throw error;
      throw new GrammarTextError(error.message, this.path);
    }
    return (this.#applied = applied);
  }

  #applyKeyword(keyword: string, value: unknown, applied: Applied): void {
    const { all, choices, unenforced } = applied;
    switch (keyword) {
      case "$ref":
        all.push(this.#parts.refer(value, this.path, this.base));
        return;
      case "$dynamicRef":
        if (this.#parts.isStatic(value)) all.push(this.#parts.refer(value, this.path, this.base));
        else unenforced.push(keyword);
        return;
      case "allOf":
        all.push(...this.#readAll(keyword));
        return;
      case "anyOf":
      case "oneOf":
        choices.push(this.#parts.choice(keyword, this, this.#readAll(keyword)));
        return;
      case "not": {
        const negated = this.#parts.negated(value, this.path, this.base);
        if (negated === null) unenforced.push(keyword);
        else all.push(negated);
        return;
      }
      case "if":
        return this.#applyCondition(value, applied);
      case "dependentRequired":
      case "dependentSchemas":
        choices.push(...this.#dependents(keyword));
        return;
      case "then":
      case "else":
        return;
    }
    if (isAnnotation(keyword) || ownKeywords.has(keyword)) return;
    if (unenforcedKeywords.has(keyword)) return;
    unenforced.push(keyword);
  }

  #readAll(keyword: string): Part[] {
    return schemasOf(this.keywords, keyword)!.map((schema, i) =>
      this.#parts.read(schema, `${this.path}.${keyword}[${i}]`, this.base),
    );
  }

  /** Either the test and what follows it hold, or neither the test nor the other branch's absence does. */
  #applyCondition(test: unknown, { choices, unenforced }: Applied): void {
    const { then = true, else: otherwise = true } = this.keywords;
    if (then === true && otherwise === true) return;
    const negated = this.#parts.negated(test, this.path, this.base);
    if (negated === null) {
      unenforced.push("if");
      return;
    }
    choices.push(
      this.#derivedChoice("if", [{ allOf: [test, then] }, { allOf: [{ not: test }, otherwise] }]),
    );
  }

  /** A property is not there, or what it asks for holds. */
  #dependents(keyword: "dependentRequired" | "dependentSchemas"): Choice[] {
    const dependents = mapOf(this.keywords, keyword);
    return Object.entries(dependents).map(([name, value]) =>
      this.#derivedChoice(keyword, [
        { properties: { [name]: false } },
        keyword === "dependentRequired"
          ? { required: [name, ...namesOf(dependents, name)] }
          : { required: [name], allOf: [value] },
      ]),
    );
  }

  #derivedChoice(keyword: Choice["keyword"], alternatives: readonly Schema[]): Choice {
    const parts = alternatives.map((schema) =>
      this.#parts.read({ ...schema, [isDerived]: true }, this.path, this.base),
    );
    return this.#parts.choice(keyword, this, parts);
  }
}
