import type { ModelWeights } from "../../model/weights/config.ts";
import { buildHead, buildMiddle, buildTrunk } from "../../model/stages/model-stages.ts";
import type { WeightFormat } from "../../model/weights/quantize.ts";
import type { Device } from "../device/device.ts";
import { denseExpert } from "../contract/experts.ts";
import type { ModelStages } from "./middles.ts";

/**
 * Builds and loads the three stages of the unpruned model, one after the other, so that only one
 * stage's weights are held twice at a time.
 * @param onStage called with the stage's name before it is built
 * @throws ModelLoadError, InferenceError
 */
export async function loadStages(
  device: Device,
  weights: ModelWeights,
  format: WeightFormat,
  onStage: (name: string) => void = () => undefined,
): Promise<ModelStages> {
  onStage("trunk");
  const trunk = await device.loadStage(buildTrunk(weights, format));
  onStage("middle");
  const middle = [
    await device.loadStage(buildMiddle(weights, format, { name: denseExpert })),
  ] as const;
  onStage("head");
  const head = await device.loadStage(buildHead(weights, format));
  return { trunk, middle, head };
}
