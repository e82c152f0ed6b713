import { expertCommands } from "../../server/model/expert-endpoints.ts";
import { optionsHelp } from "../command-options.ts";
import { listSchema } from "./experts-options.ts";

/** What `seap experts --help` prints. */
export function expertsHelp(): string {
  return optionsHelp(
    `experts [options]
       seap experts ${expertCommands.join("|")} <expert> [options]

Shows the experts of a running server, or has it do something to one: build it, also where that had failed
or found it too bad; load it into memory, built first where needed; or evict it from memory. An expert is
named by its task; general is the one of all tasks together.`,
    listSchema,
  );
}
