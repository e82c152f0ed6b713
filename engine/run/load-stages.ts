import type { StageSource } from "../../model/prepared/stage-source.ts";
import type { Device, Stage } from "../device/device.ts";
import type { ModelStages } from "./middles.ts";

/**
 * Loads the stages of the unpruned model one after the other, so that only one stage's weights are held twice at a time.
 * @param onStage called with the stage's name before it is loaded
 * @throws ModelLoadError, InferenceError
 */
export async function loadStages(
  device: Device,
  source: StageSource,
  onStage: (name: string) => void = () => undefined,
): Promise<ModelStages> {
  const stages: Stage[] = [];
  await source(async (model) => {
    onStage(model.spec.name);
    stages.push(await device.loadStage(model));
  });
  const [trunk, head, ...middle] = stages;
  return { trunk: trunk!, head: head!, middle };
}
