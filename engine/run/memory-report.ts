import type { EngineMemory } from "../contract/request.ts";

/** What the engine's thread holds, told when it has changed. */
export class MemoryReport {
  readonly #read: () => EngineMemory;
  #told: EngineMemory | null = null;

  constructor(read: () => EngineMemory) {
    this.#read = read;
  }

  take(): EngineMemory {
    return (this.#told = this.#read());
  }

  /** As `take`; null where it is what was told last. */
  takeChange(): EngineMemory | null {
    const [now, told] = [this.#read(), this.#told];
    const isSame = told !== null && keysOf(now).every((key) => now[key] === told[key]);
    return isSame ? null : (this.#told = now);
  }
}

function keysOf(memory: EngineMemory): (keyof EngineMemory)[] {
  return Object.keys(memory) as (keyof EngineMemory)[];
}
