import { LRUCache } from "lru-cache";

/** Of one engine: more than its cache has room for, with all but the smallest models. */
const maxBlocks = 4096;

/**
 * A number for each whole block of a prompt, which stands for all tokens up to its end. Two prompts may share one by
 * chance, so that it is good for a guess.
 * @param salt prompts of different salts share none
 */
export function blockChain(tokenIds: Uint32Array, salt: string, blockTokens: number): number[] {
  let hash = 0;
  for (let i = 0; i < salt.length; i++) hash = mix(hash, salt.charCodeAt(i));
  const chain: number[] = [];
  const numTokens = tokenIds.length - (tokenIds.length % blockTokens);
  for (let i = 0; i < numTokens; i++) {
    hash = mix(hash, tokenIds[i]!);
    if ((i + 1) % blockTokens === 0) chain.push(hash);
  }
  return chain;
}

/** A round of FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/. */
function mix(hash: number, value: number): number {
  return Math.imul(hash ^ value, 16_777_619);
}

/** The beginnings of prompts that an engine has seen. Its prefix cache may have lost some of them. */
export class PromptTrail {
  readonly #blocks = new LRUCache<number, true>({ max: maxBlocks });

  /** @returns how many of a prompt's first blocks the engine has seen */
  numSeen(chain: readonly number[]): number {
    const firstNew = chain.findIndex((block) => !this.#blocks.has(block));
    return firstNew < 0 ? chain.length : firstNew;
  }

  /** The first block is the last to be forgotten: those behind it are not found without it. */
  add(chain: readonly number[]): void {
    for (const block of chain.slice(0, maxBlocks).reverse()) this.#blocks.set(block, true);
  }
}
