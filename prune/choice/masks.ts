import type { LayerPlan } from "../../model/experts/expert-plan.ts";
import type { LayerWidths } from "./allocation.ts";

/**
 * What a layer keeps: the heads of its attention choice, and the channels that are left when the first of the
 * order have gone.
 * @param numChannels of the dense layer
 * @param removalOrder at least as many channels as the widths remove, without repetition
 */
export function maskLayer(
  widths: LayerWidths,
  numChannels: number,
  removalOrder: readonly number[],
): LayerPlan {
  const gone = new Set(removalOrder.slice(0, numChannels - widths.numChannels));
  const channels = Array.from({ length: numChannels }, (_, channel) => channel);
  return {
    keptHeads: widths.attention.keptHeads,
    keptKvHeads: widths.attention.keptKvHeads,
    keptChannels: channels.filter((channel) => !gone.has(channel)),
  };
}
