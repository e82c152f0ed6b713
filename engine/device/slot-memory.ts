import { constants } from "node:buffer";

export interface SlotMemoryOptions {
  /** Numbers of one slot. */
  readonly slotLength: number;
  /** Slots that address space is reserved for. */
  readonly maxSlots: number;
  /** Called with every change of the allocated bytes. */
  readonly onResize: (deltaBytes: number) => void;
}

/**
 * Numbers of some slots, one after the other in one piece. It grows and shrinks in place and at once: what is beyond
 * its slots is reserved address space without memory, and nothing waits for the garbage collector. New slots are zero.
 */
export class SlotMemory {
  readonly #options: SlotMemoryOptions;
  readonly #buffer: ArrayBuffer;
  #data: Float32Array<ArrayBuffer>;

  constructor(options: SlotMemoryOptions) {
    const slotBytes = options.slotLength * Float32Array.BYTES_PER_ELEMENT;
    // Node.js 20 has buffers of 4 GiB at most.
    const maxSlots = Math.min(options.maxSlots, Math.floor(constants.MAX_LENGTH / slotBytes));
    this.#options = options;
    this.#buffer = new ArrayBuffer(0, { maxByteLength: maxSlots * slotBytes });
    this.#data = new Float32Array(this.#buffer, 0, 0);
  }

  /** The numbers of all slots, not to be kept over a change of how many there are. */
  get data(): Float32Array<ArrayBuffer> {
    return this.#data;
  }

  get sizeBytes(): number {
    return this.#buffer.byteLength;
  }

  get numSlots(): number {
    return this.#data.length / this.#options.slotLength;
  }

  /** @throws RangeError when there is no memory, or for more slots than were reserved */
  resize(numSlots: number): void {
    const { slotLength, onResize } = this.#options;
    const before = this.#buffer.byteLength;
    const length = numSlots * slotLength;
    this.#buffer.resize(length * Float32Array.BYTES_PER_ELEMENT);
    this.#data = new Float32Array(this.#buffer, 0, length);
    onResize(this.#buffer.byteLength - before);
  }

  /** The last slot takes the place of the one that goes. */
  remove(slot: number): void {
    const { slotLength } = this.#options;
    const last = this.numSlots - 1;
    if (slot < last) {
      this.#data.copyWithin(slot * slotLength, last * slotLength, (last + 1) * slotLength);
    }
    this.resize(last);
  }
}
