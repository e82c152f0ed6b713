import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { Device, HiddenStates, KvSnapshot, SequenceKv, Stage } from "../device/device.ts";

export interface PrefixCacheOptions {
  readonly device: Device;
  /** Tokens of a block: a prefill chunk, so that a kept block has the bits that a prefill would give. */
  readonly blockTokens: number;
  /** What all stages keep of a block. */
  readonly blockBytes: number;
  /** Bytes of all blocks together. */
  readonly maxBytes: number;
}

/** Where a sequence's KV is taken from and put back to. */
export interface PrefixPlace {
  readonly kv: SequenceKv;
  readonly stages: readonly Stage[];
}

/**
 * Keys and values of prompt blocks that were prefilled before, least recently used out first. A block is found by the
 * tokens of the whole prompt up to its end, and by what computed it: the trunk, or the middle of some name with the
 * head behind it.
 */
export class PrefixCache {
  readonly blockTokens: number;
  readonly #device: Device;
  /** Blocks of one prompt: a longer one would drive out its own beginning. */
  readonly #maxBlocks: number;
  readonly #blocks: LRUCache<string, KvSnapshot>;

  constructor({ device, blockTokens, blockBytes, maxBytes }: PrefixCacheOptions) {
    this.blockTokens = blockTokens;
    this.#maxBlocks = Math.floor(maxBytes / 2 / blockBytes);
    this.#device = device;
    this.#blocks = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: ({ sizeBytes }) => sizeBytes,
      dispose: (snapshot) => snapshot.dispose(),
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
   * @param place its stages, without any token yet
   * @returns the outputs of the blocks that were put back, which are the caller's; null for those without
   */
  async restore(
    part: string,
    chain: readonly string[],
    { kv, stages }: PrefixPlace,
  ): Promise<(HiddenStates | null)[]> {
    const snapshots: KvSnapshot[] = [];
    for (const link of chain) {
      const snapshot = this.#blocks.peek(keyOf(part, link));
      if (snapshot === undefined) break;
      snapshots.push(snapshot);
    }
    if (snapshots.length === 0) return [];
    const outputs = await this.#device.restoreSnapshots(kv, stages, snapshots);
    this.#touch(part, chain, snapshots.length);
    return outputs;
  }

  /**
   * Keeps the last block that some stages have computed. Nothing where the one before it is not kept: it would not
   * be found.
   * @param index of the block
   * @param place its hidden states, the last stage's output, stay the caller's
   */
  async keep(
    part: string,
    chain: readonly string[],
    index: number,
    { kv, stages, hidden }: PrefixPlace & { readonly hidden: HiddenStates | null },
  ): Promise<void> {
    const key = keyOf(part, chain[index]!);
    const isLinked = index === 0 || this.#blocks.has(keyOf(part, chain[index - 1]!));
    if (!isLinked || this.#blocks.has(key)) return;
    const sizeBytes = this.#device.snapshotBytesFor(stages, this.blockTokens, hidden !== null);
    // Before, so that there is never more than there may be.
    while (this.sizeBytes + sizeBytes > this.#blocks.maxSize && this.#blocks.pop());
    this.#blocks.set(key, await this.#device.takeSnapshot(kv, stages, this.blockTokens, hidden));
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
}

function keyOf(part: string, link: string): string {
  return `${part}\n${link}`;
}
