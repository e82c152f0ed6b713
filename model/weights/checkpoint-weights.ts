import type { Checkpoint, RowRange, StoredMatrix, TensorReader } from "../files/checkpoint.ts";
import { rememberedHash } from "../files/known-hashes.ts";
import type { FileSpelling, ReadOptions } from "./architectures/architecture.ts";
import { checkTensors } from "./check-tensors.ts";
import type {
  BiasRole,
  LayerTensorRole,
  ModelConfig,
  ModelTensorRole,
  ModelWeights,
} from "./config.ts";
import type { ProjectionRole } from "./layer-spec.ts";
import { storedTensors } from "./tensor-names.ts";
import type { TensorNames, TensorPart } from "./tensor-names.ts";

/**
 * The weights of a file, closed with them.
 * @throws ModelLoadError when its header is not supported or its tensors are not those that it promises
 */
export async function openWeights<File extends Checkpoint & HashedContent>(
  file: File,
  { config: readConfig, tensors: names }: FileSpelling<File>,
  options: OpenOptions = {},
): Promise<ModelWeights> {
  const config = readConfig(file, options);
  checkTensors(file, config, names);
  const contentHash =
    options.contentHash ??
    (await rememberedHash(options.hashFolder, file.filePaths, () => file.contentHash()));
  return new CheckpointWeights(file, { config, names }, contentHash);
}

export interface OpenOptions extends ReadOptions {
  /** Where it is known from before. @default computed */
  readonly contentHash?: string;
  /** Where hashes are remembered. @default nowhere */
  readonly hashFolder?: string;
}

interface HashedContent {
  readonly filePaths: readonly string[];
  contentHash(): Promise<string>;
}

/** Where a role's numbers are: some rows of a tensor. */
interface Place {
  readonly name: string;
  readonly rows: RowRange;
}

class CheckpointWeights implements ModelWeights {
  readonly config: ModelConfig;
  readonly contentHash: string;
  readonly #reader: TensorReader;
  readonly #normOffset: number;
  readonly #places = new Map<string, Place>();

  constructor(
    checkpoint: Checkpoint,
    { config, names }: { readonly config: ModelConfig; readonly names: TensorNames },
    contentHash: string,
  ) {
    this.config = config;
    this.contentHash = contentHash;
    this.#reader = checkpoint.reader;
    this.#normOffset = names.normOffset ?? 0;
    for (const { name, layer, parts } of storedTensors(config, names)) {
      let start = 0;
      for (const { role, shape } of parts) {
        const end = start + shape[0]!;
        this.#places.set(keyOf(layer, role), { name, rows: { start, end } });
        start = end;
      }
    }
  }

  readTensor(role: ModelTensorRole, rows?: RowRange): Float32Array {
    const isTied = role === "lmHead" && this.config.tiedEmbeddings;
    return this.#read(null, isTied ? "embedding" : role, rows);
  }

  readLayerTensor(layer: number, role: LayerTensorRole, rows?: RowRange): Float32Array {
    return this.#read(layer, role, rows);
  }

  storedMatrix(layer: number | null, role: ModelTensorRole | ProjectionRole): StoredMatrix {
    const isTied = role === "lmHead" && this.config.tiedEmbeddings;
    const { name, rows: all } = this.#places.get(keyOf(layer, isTied ? "embedding" : role))!;
    const { bits, blocks } = this.#reader.storedMatrix(name)!;
    if (blocks === null) return { bits, blocks };
    const read = ({ start, end }: RowRange) =>
      blocks.read({ start: all.start + start, end: all.start + end });
    return { bits, blocks: { bits: blocks.bits, read } };
  }

  readLayerBias(layer: number, role: BiasRole): Float32Array | null {
    return this.#places.has(keyOf(layer, role)) ? this.#read(layer, role) : null;
  }

  close(): void {
    this.#reader.close();
  }

  #read(layer: number | null, role: TensorPart["role"], wanted?: RowRange): Float32Array {
    const { name, rows: all } = this.#places.get(keyOf(layer, role))!;
    const rows = wanted ? { start: all.start + wanted.start, end: all.start + wanted.end } : all;
    const values = this.#reader.readTensor(name, rows);
    const offset = this.#normOffset;
    return offset !== 0 && role.endsWith("Norm") ? values.map((value) => value + offset) : values;
  }
}

function keyOf(layer: number | null, role: TensorPart["role"]): string {
  return `${layer} ${role}`;
}
