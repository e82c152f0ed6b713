import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { Device, HiddenStates, KvArena } from "../device/device.ts";
import type { KvSlot } from "../device/kv-pool.ts";
import type { StageRunner } from "../device/stage-runner.ts";

export interface PrefixCacheOptions {
  readonly device: Device;
  /** Tokens of a block: a prefill chunk, so that a kept block has the bits that a prefill would give. */
  readonly blockTokens: number;
  /** What all stages keep of a block. */
  readonly blockBytes: number;
  /** Of all blocks together. */
  readonly maxBytes: number;
}

/** Where a stage keeps the KV of a sequence. */
export interface StageSlot<Owner> {
  readonly runner: StageRunner<Owner>;
  readonly slot: KvSlot<Owner>;
}

/** What some stages made of a block of tokens. */
interface Block {
  /** One for each stage, with one slot. */
  readonly arenas: readonly KvArena[];
  /** The last stage's output, where the next one may not have it. */
  readonly hidden: HiddenStates | null;
  readonly sizeBytes: number;
}

/**
 * Keys and values of prompt blocks that were prefilled before, least recently used out first. A block is found by the
 * tokens of the whole prompt up to its end, and by what computed it: the trunk, or the middle of some name with the
 * head behind it.
 */
export class PrefixCache {
  readonly blockTokens: number;
  readonly #device: Device;
  /** Of one prompt: a longer one would drive out its own beginning. */
  readonly #maxBlocks: number;
  readonly #blocks: LRUCache<string, Block>;

  constructor({ device, blockTokens, blockBytes, maxBytes }: PrefixCacheOptions) {
    this.blockTokens = blockTokens;
    this.#maxBlocks = Math.floor(maxBytes / 2 / blockBytes);
    this.#device = device;
    this.#blocks = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: ({ sizeBytes }) => sizeBytes,
      dispose: ({ arenas, hidden }) => {
        for (const arena of arenas) arena.dispose();
        hidden?.dispose();
      },
    });
  }

  /** Bytes of all blocks. */
  get sizeBytes(): number {
    return this.#blocks.calculatedSize;
  }

  /**
   * Names of a prompt's whole blocks, as far as half of the cache reaches.
   * @param salt prompts of different salts share nothing
   */
  chainOf(tokenIds: Uint32Array, salt: string): string[] {
    const size = this.blockTokens;
    const chain: string[] = [];
    // Hashed with a blank, which no link has: a salt must not be able to pass for what others have computed.
    let link = createHash("sha256").update(`salt ${salt}`).digest("base64");
    for (let end = size; end <= tokenIds.length && chain.length < this.#maxBlocks; end += size) {
      link = createHash("sha256")
        .update(link)
        .update("\n")
        .update(tokenIds.subarray(end - size, end))
        .digest("base64");
      chain.push(link);
    }
    return chain;
  }

  /**
   * Puts back as many of a prompt's first blocks as are kept without a gap.
   * @param part what computed them
   * @param slots of its stages, without any token yet
   * @returns the outputs of the blocks that were put back, which are the caller's; null for those without
   */
  restore<Owner>(
    part: string,
    chain: readonly string[],
    slots: readonly StageSlot<Owner>[],
  ): (HiddenStates | null)[] {
    let end = 0;
    while (end < chain.length && this.#blocks.has(keyOf(part, chain[end]!))) end++;
    if (end === 0) return [];
    for (const { runner, slot } of slots) runner.reserve(slot, end * this.blockTokens);
    const outputs = chain.slice(0, end).map((link) => {
      const { arenas, hidden } = this.#blocks.peek(keyOf(part, link))!;
      for (const [i, { runner, slot }] of slots.entries()) {
        const { arena, index, length } = slot;
        arenas[i]!.copyRange({
          ...{ from: 0, fromStart: 0, target: arena, to: index, toStart: length },
          length: this.blockTokens,
        });
        runner.pool.advance(slot, this.blockTokens);
      }
      return hidden && this.#copyOf(hidden);
    });
    this.#touch(part, chain, end);
    return outputs;
  }

  /**
   * Keeps the last block that some stages have computed. Nothing where the one before it is not kept: it would not
   * be found.
   * @param index of the block
   * @param hidden the last stage's output; stays the caller's
   */
  keep<Owner>(
    part: string,
    chain: readonly string[],
    index: number,
    slots: readonly StageSlot<Owner>[],
    hidden: HiddenStates | null,
  ): void {
    const key = keyOf(part, chain[index]!);
    const isLinked = index === 0 || this.#blocks.has(keyOf(part, chain[index - 1]!));
    if (!isLinked || this.#blocks.has(key)) return;
    const size = this.blockTokens;
    const sizeBytes = slots.reduce(
      (sum, { runner }) => sum + size * runner.bytesPerPosition,
      hidden?.sizeBytes ?? 0,
    );
    // Before, so that there is never more than there may be.
    while (this.sizeBytes + sizeBytes > this.#blocks.maxSize && this.#blocks.pop());
    const arenas = slots.map(({ runner, slot }) => {
      const { layers, headDim } = runner.stage.spec;
      const spec = { layers, headDim, capacity: size, numSlots: 1 };
      const arena = this.#device.createArena(spec);
      const [from, fromStart] = [slot.index, slot.length - size];
      slot.arena.copyRange({ from, fromStart, target: arena, to: 0, toStart: 0, length: size });
      return arena;
    });
    const kept = hidden && this.#copyOf(hidden);
    this.#blocks.set(key, { arenas, hidden: kept, sizeBytes });
    this.#touch(part, chain, index + 1);
  }

  /** Lets go of all that a middle has computed. */
  forget(part: string): void {
    for (const key of [...this.#blocks.keys()]) {
      if (key.startsWith(keyOf(part, ""))) this.#blocks.delete(key);
    }
  }

  clear(): void {
    this.#blocks.clear();
  }

  /** The first block of a prompt is the last to go: those behind it are not found without it. */
  #touch(part: string, chain: readonly string[], end: number): void {
    for (let i = end - 1; i >= 0; i--) this.#blocks.get(keyOf(part, chain[i]!));
  }

  #copyOf(hidden: HiddenStates): HiddenStates {
    const rows = Array.from({ length: hidden.numRows }, (_, row) => ({ source: hidden, row }));
    return this.#device.gatherRows(rows);
  }
}

function keyOf(part: string, link: string): string {
  return `${part}\n${link}`;
}
