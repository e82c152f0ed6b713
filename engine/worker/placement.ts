import type { Engine, GenerateRequest } from "../contract/request.ts";
import { blockChain, PromptTrail } from "./prompt-trail.ts";

/**
 * What a sequence costs the others of its engine, as so many tokens of a prompt: an answer of a hundred tokens takes
 * about as long.
 */
const sequenceTokens = 256;
/** What it costs to have a task's expert in one more engine: a load, its memory, and a step in more groups. */
const expertTokens = 2 * sequenceTokens;

/** A request's place in an engine. */
export interface Place {
  readonly engine: Engine;
  /** The prompt is computed. May be called again. */
  prefilled(): void;
  /** The request has left the engine. */
  leave(): void;
}

interface Placed {
  readonly engine: Engine;
  readonly trail: PromptTrail;
  /** Of the requests that it has. */
  loadTokens: number;
}

export interface PlacementOptions {
  /** Tokens that a prefix cache keeps together; null where none keeps anything. */
  readonly blockTokens: number | null;
}

/**
 * Chooses the engine where a request is through soonest: work that is there already, what of the prompt it would have to
 * compute, and whether it has the expert of the task, all in tokens. Of equals the first.
 */
export class Placement {
  readonly #engines: readonly Placed[];
  readonly #blockTokens: number | null;

  constructor(engines: readonly Engine[], { blockTokens }: PlacementOptions) {
    this.#engines = engines.map((engine) => ({ engine, trail: new PromptTrail(), loadTokens: 0 }));
    this.#blockTokens = blockTokens;
  }

  /** At least one engine takes requests. */
  take(request: GenerateRequest): Place {
    const { promptTokenIds } = request;
    const chain = this.#chainOf(request);
    const up = this.#engines.filter(({ engine }) => engine.problem === null);
    const hasExpert = up.map(({ engine }) => isResident(engine, taskOf(request)));
    const isExpertSomewhere = hasExpert.includes(true);
    const options = up.map((placed, index) => {
      const seenTokens = placed.trail.numSeen(chain) * (this.#blockTokens ?? 0);
      const newTokens = promptTokenIds.length - seenTokens;
      const detour = isExpertSomewhere && !hasExpert[index]! ? expertTokens : 0;
      return { placed, newTokens, cost: placed.loadTokens + newTokens + detour };
    });
    const best = options.reduce((a, b) => (b.cost < a.cost ? b : a));
    best.placed.trail.add(chain);
    return placeIn(best.placed, best.newTokens);
  }

  #chainOf({ promptTokenIds, cacheSalt }: GenerateRequest): number[] {
    if (this.#blockTokens === null || cacheSalt === undefined) return [];
    return blockChain(promptTokenIds, cacheSalt, this.#blockTokens);
  }
}

function placeIn(placed: Placed, newTokens: number): Place {
  let promptTokens = newTokens;
  placed.loadTokens += promptTokens + sequenceTokens;
  const prefilled = () => {
    placed.loadTokens -= promptTokens;
    promptTokens = 0;
  };
  return {
    engine: placed.engine,
    prefilled,
    leave: () => {
      prefilled();
      placed.loadTokens -= sequenceTokens;
    },
  };
}

/** Null where it is not known before the prompt is read, or is none. */
function taskOf({ routing }: GenerateRequest): string | null {
  return (routing?.assigned ?? routing?.sticky)?.task ?? null;
}

function isResident(engine: Engine, expert: string | null): boolean {
  if (expert === null) return false;
  return engine.experts().some(({ name, state }) => name === expert && state === "resident");
}
