import { optionsHelp } from "../command-options.ts";
import { evalSchema } from "./eval-options.ts";

/** Lists of names are in the descriptions, paths and cores depend on the machine. */
const unstated = ["tasks", "methods", "data", "threads", "cacheDir"];

/** What `seap eval --help` prints. */
export function evalHelp(): string {
  return optionsHelp(
    `eval [options]

Measures what pruning costs: accuracy, perplexity and distance from the unpruned model, for every
recipe and sparsity in one table; with a page of plots. What was measured is kept in the cache
folder: a run that was ended goes on, and another method is measured beside those that were.`,
    evalSchema,
    unstated,
  );
}
