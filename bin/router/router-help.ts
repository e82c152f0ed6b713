import type { z } from "zod";
import { optionsHelp } from "../command-options.ts";
import { routerEvalSchema, explainSchema, fitSchema, proposeSchema } from "./router-options.ts";

/** What `seap router --help` prints. */
export const routerHelp = `Usage: seap router <command> [options]

Chooses a task for each prompt by the hidden state after the first layers, or none of them.

Commands:
  fit      learn to tell tasks apart from their corpora
  eval     measure how well, on prompts that were not learnt from
  explain  show how a prompt would be routed, and why
  propose  find tasks in prompts of your own

  seap router <command> --help   options of a command
`;

const commands: Readonly<Record<string, { readonly usage: string; readonly schema: z.ZodObject }>> =
  {
    fit: {
      usage: `fit [options]

Fits a router. It is kept in the cache folder and fitted again only when the model or a corpus changes.`,
      schema: fitSchema,
    },
    eval: {
      usage: `eval --data <folder> [options]

Fits routers with the calibration rows and tests them with the evaluation rows: the eight tasks of the
SEAP paper, in its question template and as bare prompts, by hidden states and by the paper's baseline;
all tasks of the folder; and the built-in tasks, fitted with the built-in corpora.`,
      schema: routerEvalSchema,
    },
    explain: {
      usage: `explain <prompt> [options]

Shows the decision for a prompt: the nearest clusters, the margin and whether it is like any task.`,
      schema: explainSchema,
    },
    propose: {
      usage: `propose <file> --out <folder> [options]

Groups prompts whose tasks are unknown, lines of {prompt}, {messages} or {text}, shows keywords and
typical prompts of each group and writes a corpus of each for seap prune and seap router fit.`,
      schema: proposeSchema,
    },
  };

/** What `seap router <command> --help` prints. */
export function routerCommandHelp(command: string): string {
  const { usage, schema } = commands[command]!;
  return optionsHelp(`router ${usage}`, schema, ["threads", "cases"]);
}
