import test from "ava";
import type { ExecutionContext } from "ava";

import type { Device, SequenceKv, Stage } from "../../engine/device/device.ts";
import { buildHead, buildMiddleSegments, buildTrunk } from "../../model/stages/model-stages.ts";
import type { StageModel } from "../../model/stages/stage-spec.ts";
import type { ModelWeights } from "../../model/weights/config.ts";
import type { WeightFormat } from "../../model/weights/quantize.ts";
import { plainForward } from "./plain-forward.ts";
import { somePrompt } from "./requests.ts";
import { tinyModel } from "./tiny-model.ts";
import type { TinyModelOptions } from "./tiny-model.ts";

export interface DeviceContract {
  /** Begins the titles. */
  readonly name: string;
  readonly open: (weights: ModelWeights) => Promise<Device>;
  /** What logits may be off from those of the plain forward pass, with fp32 weights. */
  readonly plainTolerance: number;
  /** What the model's layers compute. @default what those of Llama do */
  readonly model?: TinyModelOptions;
  /** Weights with which a sequence's logits are the same bits in any batch. */
  readonly exactFormats: readonly WeightFormat[];
}

const numTokens = 150;

/** A tiny model on the device under test: a trunk, a middle of several stages, a head. */
class Setting {
  readonly device: Device;
  readonly weights: ModelWeights;
  readonly #stages: readonly Stage[];

  private constructor(device: Device, weights: ModelWeights, stages: readonly Stage[]) {
    this.device = device;
    this.weights = weights;
    this.#stages = stages;
  }

  static async create(
    t: ExecutionContext,
    { open, model }: DeviceContract,
    format: WeightFormat,
  ): Promise<Setting> {
    const weights = tinyModel({ ...model, numLayers: 7 });
    const device = await open(weights);
    const stages: Stage[] = [];
    for (const model of stagesOf(weights, format)) stages.push(await device.loadStage(model));
    t.teardown(async () => {
      for (const stage of stages) await stage.dispose();
    });
    return new Setting(device, weights, stages);
  }

  get trunk(): Stage {
    return this.#stages[0]!;
  }

  get middle(): readonly Stage[] {
    return this.#stages.slice(1, -1);
  }

  get head(): Stage {
    return this.#stages.at(-1)!;
  }

  get path(): readonly Stage[] {
    return this.#stages;
  }

  async openKv(length: number, numSequences = 1): Promise<SequenceKv[]> {
    return this.device.openKv(this.path, length, numSequences);
  }

  /** @returns logits of the last token of each input, `[vocabSize]` */
  async forward(
    inputs: readonly { readonly kv: SequenceKv; readonly ids: readonly number[] }[],
  ): Promise<number[][]> {
    const pass = this.device.createPass();
    const states = await pass.forward(
      [this.trunk, ...this.middle],
      inputs.map(({ kv, ids }) => ({ kv, input: Uint32Array.from(ids) })),
    );
    const logits = await pass.forwardLogits(
      this.head,
      inputs.map(({ kv }, i) => {
        return { kv, input: states[i]!, rows: [states[i]!.numRows - 1] };
      }),
    );
    for (const hidden of states) hidden.dispose();
    return logits.map((row) => [...row]);
  }

  /** Computes a text in parts of some lengths. @returns logits of its last token */
  async chunked(kv: SequenceKv, ids: readonly number[], size: number): Promise<number[]> {
    let last: number[] = [];
    for (let start = 0; start < ids.length; start += size) {
      [last] = (await this.forward([{ kv, ids: ids.slice(start, start + size) }])) as [number[]];
    }
    return last;
  }

  /** @returns logits of all tokens, by sequence */
  async stepwise(kvs: readonly SequenceKv[], ids: readonly number[][]): Promise<number[][][]> {
    await this.device.makeRoom(kvs, Infinity);
    const pass = this.device.createPass();
    const states = await pass.forward(
      [this.trunk, ...this.middle],
      kvs.map((kv, i) => ({ kv, input: Uint32Array.from(ids[i]!), isStepwise: true })),
    );
    const logits = await pass.forwardLogits(
      this.head,
      kvs.map((kv, i) => {
        return { kv, input: states[i]!, isStepwise: true, rows: [...ids[i]!.keys()] };
      }),
    );
    for (const hidden of states) hidden.dispose();
    const { vocabSize } = this.weights.config;
    return logits.map((rows, i) =>
      ids[i]!.map((_, row) => [...rows.subarray(row * vocabSize, (row + 1) * vocabSize)]),
    );
  }

  /** Makes room for one more token of each and computes it. */
  async decode(kvs: readonly SequenceKv[], ids: readonly number[]): Promise<number[][]> {
    await this.device.makeRoom(kvs, Infinity);
    return this.forward(kvs.map((kv, i) => ({ kv, ids: [ids[i]!] })));
  }
}

function stagesOf(weights: ModelWeights, format: WeightFormat): StageModel[] {
  return [
    buildTrunk(weights, format),
    ...buildMiddleSegments(weights, format, { name: "dense", maxSegmentBytes: 1 }),
    buildHead(weights, format),
  ];
}

function argmax(row: readonly number[]): number {
  return row.reduce((best, value, i) => (value > row[best]! ? i : best), 0);
}

function largestDifference(a: readonly number[], b: ArrayLike<number>): number {
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);
}

/** What the engine relies on, whatever the device: declares the tests of one. */
export function testDeviceContract(contract: DeviceContract): void {
  const { name, plainTolerance, exactFormats } = contract;

  test(`${name}: the greedy continuation is that of the plain forward pass`, async (t) => {
    const setting = await Setting.create(t, contract, "f32");
    const { vocabSize } = setting.weights.config;
    const ids = somePrompt(20);
    const [kv] = await setting.openKv(20);
    let logits = await setting.chunked(kv!, ids, 20);
    for (let step = 0; step < 30; step++) {
      const expected = plainForward(setting.weights, ids).subarray(-vocabSize);
      t.true(largestDifference(logits, expected) < plainTolerance);
      t.is(argmax(logits), argmax([...expected]));
      ids.push(argmax(logits));
      [logits] = (await setting.decode([kv!], ids.slice(-1))) as [number[]];
    }
  });

  for (const format of exactFormats) {
    test(`${name}: sequences of any lengths together give the bits that each gives alone, ${format}`, async (t) => {
      const setting = await Setting.create(t, contract, format);
      const texts = [3, 40, 63, 64, 65, 100, 127, 128].map((length, i) => {
        return somePrompt(length + 10, i + 1);
      });
      const run = async (group: readonly (readonly number[])[]) => {
        const kvs: SequenceKv[] = [];
        const rows: number[][][] = [];
        for (const ids of group) {
          const [kv] = await setting.openKv(1);
          kvs.push(kv!);
          rows.push([await setting.chunked(kv!, ids.slice(0, -10), 32)]);
        }
        for (let step = 10; step > 0; step--) {
          const next = await setting.decode(
            kvs,
            group.map((ids) => ids.at(-step)!),
          );
          for (const [i, row] of next.entries()) rows[i]!.push(row);
        }
        for (const kv of kvs) kv.release();
        return rows;
      };
      const together = await run(texts);
      for (const [i, ids] of texts.entries()) t.deepEqual(together[i], (await run([ids]))[0]);
      t.is(setting.device.kvBytes, 0);
    });

    test(`${name}: one pass takes different numbers of tokens of its sequences, ${format}`, async (t) => {
      const setting = await Setting.create(t, contract, format);
      const texts = [[1], somePrompt(5), somePrompt(70, 2), [2], somePrompt(5, 3)];
      const kvs = await setting.openKv(8, texts.length);
      const together = await setting.forward(kvs.map((kv, i) => ({ kv, ids: texts[i]! })));
      const next = await setting.decode(kvs, [1, 2, 3, 4, 5]);
      for (const [i, ids] of texts.entries()) {
        const [alone] = await setting.openKv(1);
        t.deepEqual((await setting.forward([{ kv: alone!, ids }]))[0], together[i]);
        t.deepEqual((await setting.decode([alone!], [i + 1]))[0], next[i]);
        alone!.release();
      }
      for (const kv of kvs) kv.release();
    });

    test(`${name}: a snapshot that is restored, also after its sequence is gone, goes on with the same bits, ${format}`, async (t) => {
      const setting = await Setting.create(t, contract, format);
      const { device } = setting;
      const ids = somePrompt(100);
      const [own] = await setting.openKv(100);
      const snapshots = [];
      for (let start = 0; start < 96; start += 32) {
        await setting.forward([{ kv: own!, ids: ids.slice(start, start + 32) }]);
        snapshots.push(await device.takeSnapshot(own!, setting.path, 32, null));
      }
      const expected = await setting.forward([{ kv: own!, ids: ids.slice(96) }]);
      own!.release();
      t.is(
        device.kvBytes,
        snapshots.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      );
      t.is(snapshots[0]!.sizeBytes, device.snapshotBytesFor(setting.path, 32, false));
      for (let round = 0; round < 2; round++) {
        const [other] = await setting.openKv(1);
        await device.restoreSnapshots(other!, setting.path, snapshots);
        t.deepEqual(await setting.forward([{ kv: other!, ids: ids.slice(96) }]), expected);
        other!.release();
      }
      for (const snapshot of [...snapshots, ...snapshots]) snapshot.dispose();
      t.is(device.kvBytes, 0);
    });

    test(`${name}: the trunk's states that a snapshot keeps go on as the trunk's own would, ${format}`, async (t) => {
      const setting = await Setting.create(t, contract, format);
      const { device, trunk, middle, head } = setting;
      const input = Uint32Array.from(somePrompt(32));
      const run = async (kv: SequenceKv, states: Parameters<typeof device.readRows>[0]) => {
        const pass = device.createPass();
        const [hidden] = await pass.forward(middle, [{ kv, input: states }]);
        const [logits] = await pass.forwardLogits(head, [{ kv, input: hidden!, rows: [31] }]);
        hidden!.dispose();
        return [...logits!];
      };
      const [own, other] = await setting.openKv(32, 2);
      const [states] = await device.createPass().forward([trunk], [{ kv: own!, input }]);
      const snapshot = await device.takeSnapshot(own!, [trunk], 32, states!);
      const expected = await run(own!, states!);
      states!.dispose();
      own!.release();
      const [kept] = await device.restoreSnapshots(other!, [trunk], [snapshot]);
      t.deepEqual(await run(other!, kept!), expected);
      kept!.dispose();
      other!.release();
      snapshot.dispose();
    });

    test(`${name}: KV that is opened on more stages later, and grows, changes no bit, ${format}`, async (t) => {
      const setting = await Setting.create(t, contract, format);
      const { device, trunk, middle, head } = setting;
      const ids = somePrompt(numTokens + 1);
      const prompt = ids.slice(0, numTokens);
      const [whole] = await setting.openKv(numTokens + 1);
      const expected = await setting.chunked(whole!, prompt, 32);
      const [kv] = await device.openKv([trunk, head], 1);
      const states = [];
      for (let start = 0; start < numTokens; start += 32) {
        const input = Uint32Array.from(prompt.slice(start, start + 32));
        states.push(...(await device.createPass().forward([trunk], [{ kv: kv!, input }])));
      }
      await device.extendKv(kv!, middle, 1);
      let logits: number[] = [];
      for (const input of states) {
        const pass = device.createPass();
        const [hidden] = await pass.forward(middle, [{ kv: kv!, input }]);
        const rows = [input.numRows - 1];
        const [row] = await pass.forwardLogits(head, [{ kv: kv!, input: hidden!, rows }]);
        logits = [...row!];
        input.dispose();
        hidden!.dispose();
      }
      t.deepEqual(logits, expected);
      const [next] = await setting.decode([kv!], ids.slice(-1));
      t.deepEqual((await setting.decode([whole!], ids.slice(-1)))[0], next);
      t.is(whole!.sizeBytes, kv!.sizeBytes);
      for (const one of [kv!, whole!]) one.release();
    });

    test(`${name}: positions that are taken back are as if they had never been, ${format}`, async (t) => {
      const setting = await Setting.create(t, contract, format);
      const [kv] = await setting.openKv(80);
      await setting.chunked(kv!, somePrompt(40), 40);
      const expected = await setting.decode([kv!], [1]);
      await setting.chunked(kv!, somePrompt(20, 3), 20);
      await setting.device.setLength(kv!, 40);
      t.deepEqual(await setting.decode([kv!], [1]), expected);
      kv!.release();
    });
  }

  test(`${name}: a text in chunks of any size gives the plain forward pass`, async (t) => {
    const setting = await Setting.create(t, contract, "f32");
    const { vocabSize } = setting.weights.config;
    const ids = somePrompt(numTokens);
    const expected = plainForward(setting.weights, ids).subarray(-vocabSize);
    for (const size of [1, 7, 64, setting.device.chunkTokens, 512]) {
      const [kv] = await setting.openKv(1);
      const logits = await setting.chunked(kv!, ids, size);
      t.true(largestDifference(logits, expected) < plainTolerance, `chunks of ${size}`);
      kv!.release();
    }
  });

  test(`${name}: a part of a text whose logits nobody wants leaves its keys and values`, async (t) => {
    for (const format of ["f32", "q8"] as const) {
      const setting = await Setting.create(t, contract, format);
      const { device, trunk, middle, head } = setting;
      const ids = somePrompt(40);
      const [whole, kv] = await setting.openKv(40, 2);
      const expected = await setting.chunked(whole!, ids, 20);
      const pass = device.createPass();
      const input = Uint32Array.from(ids.slice(0, 20));
      const [states] = await pass.forward([trunk, ...middle], [{ kv: kv!, input }]);
      await pass.forwardLogits(head, [{ kv: kv!, input: states!, rows: [] }]);
      states!.dispose();
      t.deepEqual((await setting.forward([{ kv: kv!, ids: ids.slice(20) }]))[0], expected);
      for (const one of [whole!, kv!]) one.release();
    }
  });

  test(`${name}: tokens of a stepwise pass have the bits that each has alone, and can be taken back`, async (t) => {
    for (const format of contract.exactFormats) {
      const setting = await Setting.create(t, contract, format);
      const { device } = setting;
      for (const length of [1, 20, 32, 61, 100]) {
        const kvs = await setting.openKv(length, 2);
        const alone = (await setting.openKv(length))[0]!;
        for (const kv of [...kvs, alone]) await setting.chunked(kv, somePrompt(length), length);
        const room = device.stepwiseRoom(alone);
        t.true(room >= 1);
        const ids = somePrompt(Math.min(room, 5), 7);
        const expected: number[][] = [];
        for (const id of ids) expected.push((await setting.decode([alone], [id]))[0]!);
        const wrong = [ids[0]!, ...ids.slice(1).map((id) => id + 1)];
        const [first] = await setting.stepwise([kvs[0]!], [wrong]);
        t.deepEqual(first![0], expected[0], `${format}, ${length} tokens before`);
        await device.setLength(kvs[0]!, length);
        for (const rows of await setting.stepwise(kvs, [ids, ids])) {
          t.deepEqual(rows, expected, `${format}, ${length} tokens before`);
        }
        const next = await setting.decode([...kvs, alone], [9, 9, 9]);
        t.deepEqual(next[0], next[2]);
        for (const kv of [...kvs, alone]) kv.release();
      }
    }
  });

  test(`${name}: a sequence that is given up in mid-prefill leaves nothing, and its neighbours as they were`, async (t) => {
    const setting = await Setting.create(t, contract, "f32");
    const { device, trunk } = setting;
    const [alone] = await setting.openKv(20);
    await setting.chunked(alone!, somePrompt(20), 20);
    const expected = await setting.decode([alone!], [1]);
    alone!.release();

    const [neighbour, victim] = [...(await setting.openKv(20)), ...(await setting.openKv(1))];
    await setting.chunked(neighbour!, somePrompt(20), 20);
    await setting.decode([neighbour!], [1]);
    await device.setLength(neighbour!, 20);
    const before = device.kvBytes;
    const input = Uint32Array.from(somePrompt(64, 2));
    const [states] = await device.createPass().forward([trunk], [{ kv: victim!, input }]);
    t.true(device.kvBytes >= before);
    states!.dispose();
    victim!.release();
    victim!.release();
    t.is(device.kvBytes, neighbour!.sizeBytes);
    t.deepEqual(await setting.decode([neighbour!], [1]), expected);
    neighbour!.release();
    t.is(device.kvBytes, 0);
  });

  test(`${name}: what is allocated is what is accounted, and room is made within the bytes that there are`, async (t) => {
    const setting = await Setting.create(t, contract, "f32");
    const { device, path } = setting;
    const lengths = [10, 60, 100];
    const kvs: SequenceKv[] = [];
    const sum = () => kvs.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0);
    for (const [i, length] of lengths.entries()) {
      const [kv] = await setting.openKv(1);
      kvs.push(kv!);
      await setting.chunked(kv!, somePrompt(length, i), 32);
      t.is(device.kvBytes, sum());
    }
    const least = lengths.reduce((bytes, length) => {
      return bytes + device.kvBytesFor(path, length + 1);
    }, 0);
    await device.makeRoom(kvs, least);
    t.true(device.kvBytes <= least);
    t.is(device.kvBytes, sum());
    await setting.forward(kvs.map((kv) => ({ kv, ids: [1] })));
    t.true(device.kvBytes <= least);
    for (const kv of kvs.splice(0)) {
      kv.release();
      kv.release();
    }
    t.is(device.kvBytes, 0);
  });

  test(`${name}: a stage that is released and loaded again gives the same bits, and its bytes come and go`, async (t) => {
    const setting = await Setting.create(t, contract, "q8");
    const { device, weights } = setting;
    const model = stagesOf(weights, "q8")[0]!;
    const before = device.weightBytes;
    const input = Uint32Array.from(somePrompt(30));
    const run = async (stage: Stage) => {
      const [kv] = await device.openKv([stage], 30);
      const [states] = await device.createPass().forward([stage], [{ kv: kv!, input }]);
      const rows = [...(await device.readRows(states!))];
      states!.dispose();
      kv!.release();
      return rows;
    };
    const first = await device.loadStage(model);
    t.is(device.weightBytes, before + first.weightBytes);
    const expected = await run(first);
    await first.dispose();
    await first.dispose();
    t.is(device.weightBytes, before);
    const second = await device.loadStage(model);
    t.deepEqual(await run(second), expected);
    await second.dispose();
    await device.settle();
    t.is(device.weightBytes, before);
  });
}
