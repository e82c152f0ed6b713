import { createHash } from "node:crypto";
import type { Automaton } from "../contract/automaton.ts";
import { ClosureFinder, type Places } from "./closure.ts";
import { bottom, type Stack, Stacks } from "./stacks.ts";
import type { TokenMask } from "./token-mask.ts";
import { WorkLimit } from "./work-limit.ts";

/** All places where the grammar may be after some bytes. */
export interface Position extends Places {
  /** The text may end here. */
  readonly isEnd: boolean;
  /** Class of each byte: bytes of one class lead to the same position. Not to be changed. */
  classes: Uint8Array;
  /** By class; null where the bytes are not allowed, undefined where that is not known yet. */
  next: (Position | null | undefined)[];
  /** Mask of the tokens that may come next; null while nobody has asked. */
  mask: TokenMask | null;
}

/** Classes of a position whose next ones nobody has asked for. */
const oneClass = new Uint8Array(256);

/** Positions that one grammar keeps. More than that are forgotten, and made anew as they are needed. */
const maxPositionBytes = 24 * 2 ** 20;

/** The positions of a grammar, each made when it is first come to, so that a byte is one look-up from then on. */
export class Positions {
  readonly work = new WorkLimit();
  readonly #automaton: Automaton;
  readonly #stacks: Stacks;
  readonly #closures: ClosureFinder;
  readonly #positions = new Map<string, Position>();
  readonly #classes = new Map<string, Uint8Array>();
  readonly #masks = new Map<string, TokenMask>();
  #start: Position | null = null;
  #sizeBytes = 0;

  /** @param nextId - gives each number above 0 once */
  constructor(automaton: Automaton, nextId: () => number) {
    this.#automaton = automaton;
    this.#stacks = new Stacks(this.work, nextId);
    this.#closures = new ClosureFinder(automaton, this.#stacks, this.work);
  }

  /** About, with the automaton. */
  get sizeBytes(): number {
    return this.#automaton.sizeBytes + this.#stacks.sizeBytes + this.#sizeBytes;
  }

  /** @throws GrammarError when what the text may be is so open that too many places must be kept in mind */
  start(): Position {
    return (this.#start ??= this.#find([this.#automaton.start], [bottom]));
  }

  /**
   * Null when the byte is not allowed.
   * @throws GrammarError when what the text may be is so open that too many places must be kept in mind
   */
  step(position: Position, byte: number): Position | null {
    if (position.classes === oneClass) this.#divide(position);
    const known = position.next[position.classes[byte]!];
    if (known !== undefined) return known;
    const { edgeStarts, edgeFirsts, edgeLasts, edgeTargets } = this.#automaton;
    const states: number[] = [];
    const stacks: Stack[] = [];
    for (const [i, state] of position.states.entries()) {
      const end = edgeStarts[state + 1]!;
      for (let edge = edgeStarts[state]!; edge < end; edge++) {
        if (edgeFirsts[edge]! > byte || edgeLasts[edge]! < byte) continue;
        states.push(edgeTargets[edge]!);
        stacks.push(position.stacks[i]!);
      }
      // Looking at an edge costs little.
      this.work.spend((end - edgeStarts[state]!) / 16);
    }
    const next = states.length === 0 ? null : this.#find(states, stacks);
    position.next[position.classes[byte]!] = next;
    return next;
  }

  /** Keeps a mask with its position; equal masks only once. */
  keepMask(position: Position, mask: TokenMask): TokenMask {
    const key = createHash("sha256").update(mask.values).digest("base64url");
    let kept = this.#masks.get(key);
    if (kept === undefined) {
      this.#masks.set(key, (kept = mask));
      this.#sizeBytes += 300 + mask.values.byteLength;
    }
    return (position.mask = kept);
  }

  /** Positions in use go on: they know where they are. */
  forget(): void {
    for (const position of this.#positions.values()) {
      position.classes = oneClass;
      position.next = [undefined];
      position.mask = null;
    }
    for (const known of [this.#positions, this.#classes, this.#masks, this.#stacks]) known.clear();
    this.#start = null;
    this.#sizeBytes = 0;
  }

  #find(places: Places["states"], stacks: Places["stacks"]): Position {
    const { waiting, isEnd } = this.#closures.find({ states: places, stacks });
    const states = [...waiting.keys()].sort((a, b) => a - b);
    // Making a position costs something, however few places it has.
    this.work.spend(10 + states.length);
    const keys = states.map((state) => `${state}:${waiting.get(state)!.id}`);
    const key = keys.join() + (isEnd ? "!" : "");
    const known = this.#positions.get(key);
    if (known !== undefined) return known;
    if (this.sizeBytes - this.#automaton.sizeBytes > maxPositionBytes) this.forget();
    const position: Position = {
      isEnd,
      states,
      stacks: states.map((state) => waiting.get(state)!),
      classes: oneClass,
      next: [undefined],
      mask: null,
    };
    this.#positions.set(key, position);
    this.#sizeBytes += 350 + key.length + 16 * states.length;
    return position;
  }

  /** Finds the classes of a position's bytes. */
  #divide(position: Position): void {
    const { edgeStarts, edgeFirsts, edgeLasts } = this.#automaton;
    const isFirst = new Uint8Array(257);
    for (const state of position.states) {
      const end = edgeStarts[state + 1]!;
      for (let edge = edgeStarts[state]!; edge < end; edge++) {
        isFirst[edgeFirsts[edge]!] = isFirst[edgeLasts[edge]! + 1] = 1;
      }
      this.work.spend((end - edgeStarts[state]!) / 16);
    }
    const classes = new Uint8Array(256);
    for (let byte = 1; byte < 256; byte++) classes[byte] = classes[byte - 1]! + isFirst[byte]!;
    const key = Buffer.from(classes).toString("latin1");
    let shared = this.#classes.get(key);
    if (shared === undefined) {
      this.#classes.set(key, (shared = classes));
      this.#sizeBytes += 800;
    }
    position.classes = shared;
    position.next = new Array<undefined>(classes[255]! + 1).fill(undefined);
    this.#sizeBytes += 8 * position.next.length;
  }
}
