import { configKeys, configSchema, toFlag, toVariable } from "../server/config/config.ts";

/** What `seap serve --help` prints: every option, from the schema that reads it. */
export function serveHelp(): string {
  const rows = configKeys.map((key) => {
    const schema = configSchema.shape[key];
    return `  --${toFlag(key)}  (${toVariable(key)})${defaultOf(schema)}\n      ${schema.description ?? ""}\n`;
  });
  return `Usage: seap serve [options]

Serves a model over HTTP with the OpenAI API: /v1/chat/completions, /v1/completions, /v1/models;
and /health, /ready, /metrics.

A flag wins over the environment variable in brackets, that over the file of --config.

Options:
  --config  (SEAP_CONFIG)
      JSON file with any of the options below, for instance {"maxBatch": 8, "kvMemory": "2GiB"}.
${rows.join("")}  --help
      This text.
`;
}

function defaultOf(schema: (typeof configSchema.shape)[keyof typeof configSchema.shape]): string {
  if (schema.type !== "default") return "";
  return `  [${String(schema.def.defaultValue)}]`;
}
