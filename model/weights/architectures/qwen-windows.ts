import { z } from "zod";
import type { SafetensorsCheckpoint } from "../../files/safetensors.ts";
import { windowWithin } from "./dimensions.ts";
import type { ModelDimensions } from "./dimensions.ts";
import { configFields } from "./hugging-face-dimensions.ts";

const windowSchema = z.looseObject({
  use_sliding_window: z.boolean().nullish(),
  max_window_layers: z.int().nonnegative().nullish(),
  layer_types: z.array(z.string()).nullish(),
});

/** The windows of Qwen's layers by a `config.json`: only where they are switched on, and of the later layers. */
export function qwenWindows(
  checkpoint: SafetensorsCheckpoint,
  dimensions: ModelDimensions,
): (layer: number) => number | null {
  const fields = configFields(checkpoint, windowSchema);
  if (!fields.use_sliding_window) return () => null;
  const window = windowWithin(dimensions);
  const first = fields.max_window_layers ?? 0;
  return (layer) => {
    const type = fields.layer_types?.[layer];
    const isWindowed = type === undefined ? layer >= first : type === "sliding_attention";
    return isWindowed ? window : null;
  };
}
