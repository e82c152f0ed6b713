import type { z } from "zod";
import { optionsHelp } from "../command-options.ts";
import { buildSchema, calibrateSchema, mergeSchema, tasksSchema } from "./prune-options.ts";

/** What `seap prune --help` prints. */
export const pruneHelp = `Usage: seap prune <command> [options]

Makes experts: copies of a model for one task each, without what the task does not use.

Commands:
  tasks      list the built-in tasks
  calibrate  measure which parts of the model a task uses
  merge      put together what several machines have measured
  build      make an expert, calibrating first where needed, and show what it costs in quality

Results are kept in the cache folder: a run that was ended goes on, a finished one is not repeated.

  seap prune <command> --help   options of a command
`;

const commands: Readonly<Record<string, { readonly usage: string; readonly schema: z.ZodObject }>> =
  {
    tasks: { usage: "tasks [options]\n\nLists the built-in tasks.", schema: tasksSchema },
    calibrate: {
      usage: `calibrate --task <task> [options]

Measures which parts of the model a task uses, over its corpus and answers that the model writes to
its prompts, and prints the key of the profile. A tenth of the corpus is held out to judge experts.

Several machines can share the work: each runs the same command with another --shard, and "seap prune
merge" puts the profiles together. All need the same texts: where the model writes answers, copy
<cache folder>/artifacts/answers-* from one machine to the others first.`,
      schema: calibrateSchema,
    },
    merge: {
      usage: `merge <profile> … [options]

Puts the profiles of all shards together, as if one run had seen the whole corpus. A profile is a key
that "seap prune calibrate" printed, or a folder profile-… copied from another machine's
<cache folder>/artifacts.`,
      schema: mergeSchema,
    },
    build: {
      usage: `build --task <task> (--sparsity <share> | --max-loss-increase <share>) [options]

Makes an expert and reports how it does on held-out text, beside the unpruned model.`,
      schema: buildSchema,
    },
  };

/** What `seap prune <command> --help` prints. */
export function commandHelp(command: string): string {
  const { usage, schema } = commands[command]!;
  return optionsHelp(`prune ${usage}`, schema);
}
