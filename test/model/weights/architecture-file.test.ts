import { join } from "node:path";
import test from "ava";

import type { Architecture } from "../../../model/weights/architectures/architecture.ts";
import { llama } from "../../../model/weights/architectures/llama.ts";
import { openWeights } from "../../../model/weights/checkpoint-weights.ts";
import type { BiasRole, ModelConfig } from "../../../model/weights/config.ts";
import type { LayerDescription } from "../../../model/weights/layer-spec.ts";
import { openGguf } from "../../../model/files/gguf.ts";
import { openSafetensors } from "../../../model/files/safetensors.ts";
import { writeGguf } from "../../helpers/gguf-writer.ts";
import { plainForward } from "../../helpers/plain-forward.ts";
import { somePrompt } from "../../helpers/requests.ts";
import { writeModelFolder } from "../../helpers/safetensors-writer.ts";
import {
  ggufMetadata,
  ggufTensors,
  huggingFaceConfig,
  huggingFaceTensors,
} from "../../helpers/stored-model.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { tinyModel } from "../../helpers/tiny-model.ts";

const described: Partial<LayerDescription> = {
  biases: ["query", "key", "value"],
  norms: ["attentionNorm", "queryNorm", "keyNorm", "mlpNorm", "mlpPostNorm"],
};

function describedBy(config: ModelConfig): ModelConfig {
  return { ...config, layers: config.layers.map((layer) => ({ ...layer, ...described })) };
}

/** A family that there is not: Llama with biases, more norms, and projections of which some are packed. */
const family: Architecture = {
  ...llama,
  gguf: {
    config: (checkpoint, options) => describedBy(llama.gguf.config(checkpoint, options)),
    tensors: llama.gguf.tensors,
  },
  huggingFace: {
    config: (checkpoint, options) => describedBy(llama.huggingFace.config(checkpoint, options)),
    tensors: {
      ...llama.huggingFace.tensors,
      layer: {
        ...llama.huggingFace.tensors.layer,
        query: "model.layers.{layer}.self_attn.qkv_proj.weight",
        key: "model.layers.{layer}.self_attn.qkv_proj.weight",
        value: "model.layers.{layer}.self_attn.qkv_proj.weight",
        gate: "model.layers.{layer}.mlp.gate_up_proj.weight",
        up: "model.layers.{layer}.mlp.gate_up_proj.weight",
      },
    },
  },
};

const model = (ropeInterleaved: boolean) =>
  tinyModel({ numLayers: 2, ropeInterleaved, describe: () => described });
const ids = somePrompt(9);
const biasRoles: readonly BiasRole[] = ["queryBias", "keyBias", "valueBias", "outputBias"];

test("what an architecture's file says of biases and norms is read from GGUF files", async (t) => {
  const expected = model(true);
  const path = join(tempDir(t), "model.gguf");
  writeGguf(path, ggufMetadata(expected), ggufTensors(expected, "F32", family.gguf.tensors));
  const weights = await openWeights(openGguf(path), family.gguf);
  t.teardown(() => weights.close());
  const { config } = weights;
  for (const role of biasRoles) {
    t.deepEqual(weights.readLayerBias(1, role), expected.readLayerBias(1, role), role);
  }
  t.deepEqual(plainForward(weights, ids), plainForward({ ...expected, config }, ids));
});

test("what it says is packed in one tensor is read from folders, biases too", async (t) => {
  const expected = model(false);
  const folder = tempDir(t);
  const tensors = huggingFaceTensors(expected, "F32", family.huggingFace.tensors);
  t.true(tensors.some(({ name }) => name === "model.layers.1.self_attn.qkv_proj.bias"));
  writeModelFolder(folder, huggingFaceConfig(expected), tensors);
  const weights = await openWeights(openSafetensors(folder), family.huggingFace);
  t.teardown(() => weights.close());
  for (const role of biasRoles) {
    t.deepEqual(weights.readLayerBias(1, role), expected.readLayerBias(1, role), role);
  }
  for (const role of ["query", "key", "value", "gate", "up", "mlpPostNorm"] as const) {
    t.deepEqual(weights.readLayerTensor(1, role), expected.readLayerTensor(1, role), role);
  }
  t.deepEqual(plainForward(weights, ids), plainForward(expected, ids));
});
