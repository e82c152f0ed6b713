import { aliases } from "./aliases.ts";
import {
  knownInChat,
  knownInCompletions,
  knownInResponses,
  knownInTemplates,
} from "./known-parameters.ts";
import { type ParameterTable, supportedInstead } from "./parameter-table.ts";

const head = `# Parameters of other servers

What clients of llama.cpp's server, vLLM, Ollama and the OpenAI API send and this server does not have under that name.
This page is made from the tables in \`server/parameters/\` by \`npm run docs:parameters\`. Null is the same as absent;
what is on no list is ignored, and logged once.`;

const endpoints: readonly (readonly [name: string, known: ParameterTable])[] = [
  ["chat", knownInChat],
  ["completions", knownInCompletions],
  ["responses", knownInResponses],
  ["tokens", knownInTemplates],
];

/** The page on all parameters that are known by name alone, as Markdown that is not formatted yet. */
export function parametersDocument(): string {
  const names = Object.entries(aliases).map(([name, of]) => [code(name), code(of)]);
  return [
    head,
    "## Other names",
    table(["Name", "Is"], names),
    "## Refused",
    "With 400 and their name, but for the values that change nothing.",
    table(["Name", "At", "Instead"], rows("refused")),
    "## Without effect",
    table(["Name", "At", "Why"], rows("idle")),
  ].join("\n\n");
}

/** What is said of a name alike at several endpoints is one row. */
function rows(kind: ParameterTable[string]["kind"]): string[][] {
  const places = new Map<string, { readonly cells: [string, string]; readonly at: string[] }>();
  for (const [endpoint, known] of endpoints) {
    for (const [name, parameter] of Object.entries(known)) {
      if (parameter.kind !== kind) continue;
      const what = parameter.kind === "idle" ? `${parameter.reason}.` : supportedInstead(parameter);
      const key = `${name} ${what}`;
      const row = places.get(key) ?? { cells: [code(name), what], at: [] };
      row.at.push(endpoint);
      places.set(key, row);
    }
  }
  return [...places.values()]
    .map(({ cells: [name, what], at }) => [name, at.join(", "), what])
    .sort(([a], [b]) => (a! < b! ? -1 : 1));
}

function table(columns: readonly string[], lines: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(columns), line(columns.map(() => "---")), ...lines.map(line)].join("\n");
}

function code(text: string): string {
  return `\`${text}\``;
}
