import { toFlag } from "../../server/config.ts";
import { evalKeys, evalSchema } from "./eval-options.ts";

/** What `seap eval --help` prints: every option, from the schema that reads it. */
export function evalHelp(): string {
  const rows = evalKeys.map((key) => {
    const schema = evalSchema.shape[key];
    return `  --${toFlag(key)}${defaultOf(key)}\n      ${schema.description ?? ""}\n`;
  });
  return `Usage: seap eval [options]

Measures what pruning costs: accuracy, perplexity and distance from the unpruned model, for every
recipe and sparsity in one table; with a page of plots. What was measured is kept in the cache
folder: a run that was ended goes on, and another method is measured beside those that were.

Options:
${rows.join("")}  --json
      Print the report's JSON in place of the table.
  --help
      This text.
`;
}

function defaultOf(key: (typeof evalKeys)[number]): string {
  // Lists of names are in the descriptions, paths and cores depend on the machine.
  const shown = ["sparsity", "rows", "out", "tokens", "weights", "model"];
  if (!shown.includes(key)) return "";
  return `  [${String(evalSchema.shape[key].parse(undefined))}]`;
}
