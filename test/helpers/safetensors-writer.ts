import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bfloat16Bits, halfBits, uint16s } from "./gguf-writer.ts";

export interface WritableSafetensor {
  readonly name: string;
  /** Row-major, slowest dimension first. */
  readonly shape: readonly number[];
  readonly dtype: "F32" | "F16" | "BF16";
  readonly data: Float32Array;
}

/** The content of one safetensors file. */
export function safetensorsBytes(tensors: readonly WritableSafetensor[]): Buffer {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  const data: Buffer[] = [];
  let offset = 0;
  for (const { name, shape, dtype, data: values } of tensors) {
    const bytes = encode(dtype, values);
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] };
    data.push(bytes);
    offset += bytes.length;
  }
  return Buffer.concat([safetensorsHeader(header), ...data]);
}

/** A header of any content with its length prefix. */
export function safetensorsHeader(header: unknown): Buffer {
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json]);
}

/** Writes `config.json`, `tokenizer.json` (a stub unless given) and the weights of a model folder. */
export function writeModelFolder(
  folder: string,
  config: object,
  tensors: readonly WritableSafetensor[],
  otherFiles: Readonly<Record<string, unknown>> = {},
): void {
  mkdirSync(folder, { recursive: true });
  const files = { "config.json": config, "tokenizer.json": {}, ...otherFiles };
  for (const [name, content] of Object.entries(files)) {
    const text = typeof content === "string" ? content : JSON.stringify(content);
    writeFileSync(join(folder, name), text);
  }
  writeFileSync(join(folder, "model.safetensors"), safetensorsBytes(tensors));
}

/** Splits the tensors over as many shards as given, with an index, instead of a single file. */
export function writeShards(
  folder: string,
  shards: readonly (readonly WritableSafetensor[])[],
): void {
  const weightMap: Record<string, string> = {};
  shards.forEach((tensors, i) => {
    const name = `model-${pad(i + 1)}-of-${pad(shards.length)}.safetensors`;
    writeFileSync(join(folder, name), safetensorsBytes(tensors));
    for (const tensor of tensors) weightMap[tensor.name] = name;
  });
  writeFileSync(
    join(folder, "model.safetensors.index.json"),
    JSON.stringify({ metadata: {}, weight_map: weightMap }),
  );
}

function pad(number: number): string {
  return String(number).padStart(5, "0");
}

function encode(dtype: WritableSafetensor["dtype"], values: Float32Array): Buffer {
  switch (dtype) {
    case "F32":
      return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
    case "F16":
      return uint16s(values, halfBits);
    case "BF16":
      return uint16s(values, bfloat16Bits);
  }
}
