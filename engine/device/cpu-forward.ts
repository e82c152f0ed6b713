import type { AttentionKinds } from "../../runtime/attention-kinds.ts";
import type { StageResults } from "../../runtime/stage-session.ts";
import { CpuHidden } from "./cpu-hidden.ts";
import type { CpuKv, CpuSlot } from "./cpu-kv.ts";
import type { CpuStage } from "./cpu-stage.ts";
import type { ForwardPass, HiddenStates, LogitsInput, PassInput } from "./device.ts";
import { hasPast, SharedAttention } from "./shared-attention.ts";

/** An input on its way through one stage. */
interface Place {
  /** Place among the inputs. */
  readonly number: number;
  readonly input: Uint32Array | CpuHidden;
  readonly numNewTokens: number;
  readonly slot: CpuSlot;
  /** Of a stage with the head: tokens whose logits are wanted; null for the hidden states of all. */
  readonly rows: readonly number[] | null;
  readonly isStepwise: boolean;
}

/** What one run of the session gave a place: `[numRows, ..]` from `firstRow` on. */
type Take = (place: Place, results: StageResults, indexInBatch: number) => void;

export class CpuForward implements ForwardPass {
  readonly #attention: SharedAttention;

  constructor(kinds: AttentionKinds) {
    this.#attention = new SharedAttention(kinds);
  }

  async forward(
    stages: readonly CpuStage[],
    inputs: readonly PassInput[],
  ): Promise<HiddenStates[]> {
    let states = inputs;
    for (const stage of stages) {
      const hidden = new Array<CpuHidden>(inputs.length);
      const { hiddenSize } = stage.spec;
      await this.#run(stage, states, (place, results, index) => {
        const { number, numNewTokens } = place;
        const rows = results.hidden;
        hidden[number] = new CpuHidden(rows, hiddenSize, index * numNewTokens, numNewTokens);
      });
      states = inputs.map((input, i) => ({ ...input, input: hidden[i]! }));
    }
    return states.map(({ input }) => input as CpuHidden);
  }

  async forwardLogits(head: CpuStage, inputs: readonly LogitsInput[]): Promise<Float32Array[]> {
    const logits = new Array<Float32Array>(inputs.length);
    const { vocabSize } = head.spec;
    await this.#run(head, inputs, ({ number, rows }, results, index) => {
      const length = rows!.length * vocabSize;
      logits[number] = results.logits!.subarray(index * length, (index + 1) * length);
    });
    return logits;
  }

  async #run(
    stage: CpuStage,
    inputs: readonly (PassInput | LogitsInput)[],
    take: Take,
  ): Promise<void> {
    const places = inputs.map((item, number) => placeOn(stage, item, number));
    for (const batch of batchesOf(places)) {
      const results = await this.#runBatch(stage, batch);
      for (const [index, place] of batch.entries()) take(place, results, index);
    }
  }

  /** Runs neighbouring slots that bring as many tokens each. */
  async #runBatch(stage: CpuStage, batch: readonly Place[]): Promise<StageResults> {
    const [first] = batch;
    const { numNewTokens, rows, isStepwise } = first!;
    const { arena, index: firstSlot } = first!.slot;
    const pastLengths = batch.map(({ slot }) => slot.length);
    const attention = this.#attention.feedsFor({
      ...{ pastLengths, numNewTokens, isStepwise },
      arenaCapacity: arena.capacity,
    });
    const results = await stage.run({
      input: inputOf(batch),
      attention,
      past: arena.feeds({
        ...{ firstSlot, numSequences: batch.length, pastLengths },
        ...{ withPast: hasPast(pastLengths), tailLength: attention.tailLength },
      }),
      ...(stage.spec.hasHead && { rows: rowsOf(rows, numNewTokens) }),
    });
    const { newKv } = results;
    if (newKv) arena.append(newKv, firstSlot, pastLengths, numNewTokens);
    for (const { slot } of batch) stage.pool.setLength(slot, slot.length + numNewTokens);
    return results;
  }
}

function placeOn(stage: CpuStage, item: PassInput | LogitsInput, number: number): Place {
  const input = item.input as Uint32Array | CpuHidden;
  const numNewTokens = input instanceof Uint32Array ? input.length : input.numRows;
  const slot = (item.kv as CpuKv).makeRoomOn(stage, numNewTokens);
  const rows = "rows" in item ? item.rows : null;
  const { isStepwise = false } = item;
  return { number, input, numNewTokens, slot, rows, isStepwise };
}

/** Places that one run of a session can take, in the order of their slots. */
function* batchesOf(places: readonly Place[]): Generator<Place[]> {
  const rest = new Set([...places].sort((a, b) => a.slot.index - b.slot.index));
  for (const place of rest) {
    const batch = [place];
    for (const other of rest) if (continues(batch, other)) batch.push(other);
    for (const taken of batch) rest.delete(taken);
    yield batch;
  }
}

function continues(batch: readonly Place[], place: Place): boolean {
  const { slot, numNewTokens, rows, isStepwise } = place;
  const last = batch.at(-1)!;
  return (
    isStepwise === last.isStepwise &&
    slot.arena === last.slot.arena &&
    slot.index === last.slot.index + 1 &&
    numNewTokens === last.numNewTokens &&
    rows?.join() === last.rows?.join()
  );
}

function inputOf(batch: readonly Place[]): BigInt64Array | Float32Array {
  const inputs = batch.map(({ input }) => input);
  if (!(inputs[0] instanceof Uint32Array)) return CpuHidden.join(inputs as CpuHidden[]);
  const ids = (inputs as Uint32Array[]).flatMap((tokenIds) => [...tokenIds]);
  return BigInt64Array.from(ids, BigInt);
}

/** All tokens go on, or those whose logits are wanted. */
function rowsOf(rows: readonly number[] | null, numNewTokens: number) {
  if (rows !== null) return { kept: rows, logits: [...rows.keys()] };
  return { kept: Array.from({ length: numNewTokens }, (_, row) => row), logits: [] };
}
