import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { BuiltExpert, ExpertBuilder } from "../../engine/contract/experts.ts";
import type { SpeedModel } from "../speed-expert.ts";

export interface ProcessBuilding {
  readonly model: SpeedModel;
  /** Share of the middle that goes. */
  readonly sparsity: number;
  readonly storeDir: string;
  /** The task whose expert is built and then found too bad, so that it can be built again and again. */
  readonly rejected: string;
}

const execute = promisify(execFile);
const program = fileURLToPath(new URL("./write-expert.js", import.meta.url));

/** Builds in a process of its own, as the server's builder does, but in seconds: experts are not calibrated. */
export function processBuilder(building: ProcessBuilding): ExpertBuilder {
  return {
    find: () => Promise.resolve(null),
    build: async (task, { signal, onProgress }) => {
      onProgress({ phase: `${task}: writing`, share: 0 });
      const args = [program, JSON.stringify(building)];
      const { stdout } = await execute(process.execPath, args, { signal });
      return task === building.rejected ? null : (JSON.parse(stdout) as BuiltExpert);
    },
  };
}
