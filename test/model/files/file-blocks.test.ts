import { join } from "node:path";
import test from "ava";
import { openDevice } from "../../../engine/device/open-device.ts";
import { loadStages } from "../../../engine/run/load-stages.ts";
import { ggmlEncodings } from "../../../model/files/gguf-quants.ts";
import { builtStages } from "../../../model/prepared/stage-source.ts";
import { openModel } from "../../../model/weights/open-model.ts";
import { dequantize } from "../../helpers/dequantize.ts";
import { forwardAlone } from "../../helpers/forward-alone.ts";
import { halfBits, writeGguf } from "../../helpers/gguf-writer.ts";
import type { WritableTensor } from "../../helpers/gguf-writer.ts";
import { plainForward } from "../../helpers/plain-forward.ts";
import { somePrompt } from "../../helpers/requests.ts";
import { ggufMetadata, ggufTensors } from "../../helpers/stored-model.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

/** Blocks with any integers, whose scales are those of weights. */
function someBlocks(name: string, numBlocks: number, scale: number): Uint8Array {
  const { blockBytes, numbers } = [...ggmlEncodings.values()].find((one) => one.name === name)!;
  const bytes = Uint8Array.from({ length: numBlocks * blockBytes }, (_, i) => (i * 193 + 71) % 251);
  for (let block = 0; block < numBlocks; block++) {
    for (const [i, offset] of numbers.offsets.entries()) {
      const isMinimum = i === 1 && !name.endsWith("K");
      const value = halfBits(scale * (isMinimum ? -7 : 1) * (1 + (block % 5) / 10));
      bytes.set([value & 255, value >> 8], block * blockBytes + offset);
    }
  }
  return bytes;
}

for (const encoding of ggmlEncodings.values()) {
  const { name, blocks, blockValues } = encoding;
  if (!blocks) continue;
  test(`${name}: blocks as they are have the values that decoding gives`, (t) => {
    const numBlocks = 3;
    const bytes = someBlocks(name, numBlocks, 0.01);
    const expected = new Float32Array(numBlocks * blockValues);
    encoding.decode(bytes.slice(), expected);
    const count = expected.length / 32;
    const out = {
      data: new Uint8Array(4 * blocks.bits * count),
      scales: new Float32Array(count),
      offsets: blocks.hasOffsets ? new Float32Array(count) : null,
    };
    blocks.read(bytes, out, 0);
    const values = dequantize({ bits: blocks.bits, zeroPoints: null, ...out }, 1);
    for (const [i, value] of values.entries()) {
      t.true(Math.abs(value - expected[i]!) < 1e-6, `value ${i}`);
    }
  });
}

const matrix = /attn_(q|k|v|output)|ffn_(gate|up|down)/;

for (const type of ["Q4_0", "Q4_1", "Q8_0"] as const) {
  test(`a model of ${type} is served in its own blocks`, async (t) => {
    const tiny = tinyModel({ ropeInterleaved: true, numLayers: 3 });
    const tensors = ggufTensors(tiny).map((tensor): WritableTensor => {
      if (!matrix.test(tensor.name)) return tensor;
      const numBlocks = tensor.shape.reduce((product, size) => product * size, 1) / 32;
      const scale = type === "Q8_0" ? 0.002 : 0.03;
      return { ...tensor, type, data: someBlocks(type, numBlocks, scale) };
    });
    const path = join(tempDir(t), "model.gguf");
    writeGguf(path, ggufMetadata(tiny), tensors);
    const { weights } = await openModel(path);
    t.teardown(() => weights.close());
    const ids = somePrompt(30);
    const expected = plainForward(weights, ids);
    const device = await openDevice({ numThreads: 1, config: weights.config });
    const format = type === "Q8_0" ? "q8" : "q4";
    const kinds = new Set<string>();
    const source = builtStages(weights, format, "dense");
    const { trunk, middle, head } = await loadStages(device, async (use) =>
      source(async (model, total) => {
        for (const [name, tensor] of model.weights) {
          if (tensor.kind === "quantized" && name.includes("layers.")) {
            kinds.add(`${tensor.bits} ${tensor.zeroPoints === null} ${tensor.offsets !== null}`);
          }
        }
        await use(model, total);
      }),
    );
    t.deepEqual([...kinds], [`${type === "Q8_0" ? 8 : 4} true ${type === "Q4_1"}`]);
    const logits = await forwardAlone(device, [trunk, ...middle, head], ids);
    const [kv] = await device.openKv([trunk, ...middle, head], 1);
    const pass = device.createPass();
    const input = Uint32Array.from(ids);
    const [states] = await pass.forward([trunk, ...middle], [{ kv: kv!, input }]);
    await t.notThrowsAsync(pass.forwardLogits(head, [{ kv: kv!, input: states!, rows: [] }]));
    states!.dispose();
    kv!.release();
    for (const stage of [trunk, ...middle, head]) await stage.dispose();
    const deviation = (values: Float32Array) =>
      Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0) / values.length);
    const error = deviation(logits.map((value, i) => value - expected[i]!));
    // Activations and the head are in 8 bits.
    t.true(error < 0.05 * deviation(expected), `${error / deviation(expected)}`);
  });
}
