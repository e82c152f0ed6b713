import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import { TaskLimitError } from "../base/task-limit-error.ts";
import type { BackgroundTasks } from "./compile-tasks.ts";
import { InvalidRequestError } from "../base/errors.ts";
import {
  compileGrammar,
  type CompiledGrammar,
  type EnforcedGrammar,
  type GrammarSource,
} from "./compile-grammar.ts";

/** Of a description as JSON. Sources of hundreds of tools have a tenth of it. */
const maxSourceLength = 2 ** 21;

/** Of automata that are kept. */
const maxCachedBytes = 32 * 2 ** 20;

/** Longer ones may take longer than a hand-over to another thread does. */
const maxInlineLength = 1000;

/** Parts that say much in few characters: counts and references. */
const multiplying = /\{\d|\$ref|"m(in|ax|ul)/;

/** Of schemas: combinations and patterns too. */
const multiplyingInSchemas = /"(all|any|one|not|if|dep|pattern|propertyN|unique|contains)/;

/** Makes grammars of what clients describe: once each, and long ones not in the HTTP thread. */
export class GrammarCompiler {
  readonly #background: Pick<BackgroundTasks, "run">;
  /** By a digest of the source; what was wrong with it too. */
  readonly #compiled = new LRUCache<string, CompiledGrammar>({ maxSize: maxCachedBytes });
  /** Those on their way. */
  readonly #pending = new Map<string, Promise<CompiledGrammar>>();

  constructor(background: Pick<BackgroundTasks, "run">) {
    this.#background = background;
  }

  /**
   * @throws InvalidRequestError naming the field that cannot be enforced, or takes too long
   * @throws OverloadedError when too many others are compiled
   */
  async compile(source: GrammarSource): Promise<EnforcedGrammar> {
    const compiled = await this.#compile(source);
    if ("grammar" in compiled) return compiled;
    throw new InvalidRequestError(compiled.problem, compiled.param);
  }

  async #compile(source: GrammarSource): Promise<CompiledGrammar> {
    const json = jsonOf(source);
    const key = createHash("sha256").update(json).digest("base64url");
    const known = this.#compiled.get(key) ?? this.#pending.get(key);
    if (known !== undefined) return known;
    const keep = (compiled: CompiledGrammar): CompiledGrammar => {
      this.#compiled.set(key, compiled, { size: sizeOf(compiled) });
      return compiled;
    };
    if (json.length <= maxInlineLength && !isMultiplying(source, json)) {
      return keep(compileGrammar(source));
    }
    const compiling = this.#inBackground(source).then(keep);
    this.#pending.set(key, compiling);
    try {
      return await compiling;
    } finally {
      this.#pending.delete(key);
    }
  }

  async #inBackground(source: GrammarSource): Promise<CompiledGrammar> {
    try {
      return await this.#background.run("compileGrammar", source);
    } catch (error) {
      if (!(error instanceof TaskLimitError)) throw error;
      const { field: param } = source;
      return { problem: `${param}: takes too long to compile. ${error.message}`, param };
    }
  }
}

/** About. */
function sizeOf(compiled: CompiledGrammar): number {
  return 500 + ("grammar" in compiled ? compiled.grammar.sizeBytes : compiled.problem.length);
}

/** @throws InvalidRequestError when it is too long, or nested too deeply */
function jsonOf(source: GrammarSource): string {
  const { field } = source;
  try {
    const json = JSON.stringify(source);
    if (json.length <= maxSourceLength) return json;
    const message = `${field}: expected at most ${maxSourceLength} characters, got ${json.length}.`;
    throw new InvalidRequestError(message, field);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new InvalidRequestError(`${field}: nested too deeply.`, field);
  }
}

function isMultiplying({ kind }: GrammarSource, json: string): boolean {
  const mayCombine = kind === "schema" || kind === "tools";
  return multiplying.test(json) || (mayCombine && multiplyingInSchemas.test(json));
}
