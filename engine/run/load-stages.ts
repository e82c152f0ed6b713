import type { StageSource } from "../../model/prepared/stage-source.ts";
import type { Device, Stage } from "../device/device.ts";
import type { ModelStages } from "./middles.ts";

/**
 * Loads the stages of the unpruned model one after the other, so that only one stage's weights are held twice at a time.
 * @param onStage called before one is loaded, with its name and which it is of how many, from 1
 * @throws ModelLoadError, InferenceError
 */
export async function loadStages(
  device: Device,
  source: StageSource,
  onStage: (name: string, number: number, total: number) => void = () => undefined,
): Promise<ModelStages> {
  const stages: Stage[] = [];
  await source(async (model, total) => {
    onStage(model.spec.name, stages.length + 1, total);
    stages.push(await device.loadStage(model));
  });
  const [trunk, head, ...middle] = stages;
  return { trunk: trunk!, head: head!, middle };
}
