import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { z } from "zod";
import { cpuChunkTokens } from "../../engine/device/chunk-tokens.ts";
import { defaultMaxGapMs } from "../../engine/run/prefill-pace.ts";
import {
  atLeastZero,
  between,
  byteSize,
  duration,
  httpUrl,
  integer,
  oneOf,
  hostList,
  originList,
  rate,
  seconds,
  secretList,
  share,
  text,
  textList,
  yesOrNo,
} from "./config-values.ts";
import { ConfigError } from "../base/config-error.ts";
import { expertSettings, lossIncrease, sparsity, whileBuilding } from "./expert-settings.ts";
import { logFormats, logLevels } from "../base/log.ts";
import { physicalCores } from "./physical-cores.ts";
import { routingRules } from "./rules.ts";

/**
 * Every option of `seap serve`, once: its key in a file, and by it the flag (`--max-batch`) and the
 * environment variable (`SEAP_MAX_BATCH`); its description is what `--help` prints.
 */
export const configSchema = z.strictObject({
  model: text()
    .default("default")
    .describe(
      "What to serve: default or another name of seap models, a GGUF file, a model folder, or hf:org/name[:file].",
    ),
  acceptLicense: textList()
    .default([])
    .describe("Names of models whose licenses you have read and accept, separated by commas."),
  modelName: textList()
    .optional()
    .describe(
      "Names clients may use, separated by commas; answers carry the first. Unset: the model's.",
    ),
  weights: oneOf(["q8", "q4", "f32"])
    .default("q8")
    .describe("Precision of the weights in memory; q4 keeps embedding and LM head in 8 bits."),
  generationConfig: oneOf(["auto", "openai"])
    .default("auto")
    .describe(
      "How tokens are drawn where a request does not say: auto as the model's files say, openai as that API does.",
    ),
  host: text().default("127.0.0.1").describe("Address to listen on; 0.0.0.0 for all."),
  port: integer(0, 65_535).default(8000).describe("Port to listen on; 0 takes a free one."),
  threads: integer(1, 1024)
    .default(() => physicalCores())
    .describe("Threads that compute. Unset: the physical cores."),
  engines: integer(1, 64)
    .default(1)
    .describe(
      "Engines that share the requests, each a thread with its share of --threads, --max-batch and the memory options. " +
        "The model's weights are in memory once for each.",
    ),
  contextLength: integer(0)
    .default(0)
    .describe("Tokens of prompt and answer together; 0 is what the model was trained for."),
  maxBatch: integer(1, 1024).default(16).describe("Requests that are decoded together."),
  maxWaitingRequests: integer(1)
    .default(256)
    .describe("Requests that may wait; one more is answered 429."),
  maxWaitingTokens: integer(1)
    .default(1_000_000)
    .describe("Prompt tokens that may wait; beyond it 429."),
  maxParkedRequests: integer(1)
    .default(256)
    .describe(
      "Requests that may wait for an expert that is being built or loaded; one more is answered 429.",
    ),
  prefillChunk: integer(1).default(cpuChunkTokens).describe("Prompt tokens processed in one pass."),
  maxGap: duration()
    .default(defaultMaxGapMs)
    .describe(
      "Time between two tokens of running answers that prompts may fill, such as 100ms; they get half as long as " +
        "decoding in any case.",
    ),
  draftMax: integer(0, 31)
    .default(8)
    .describe(
      "Tokens that are guessed from the text so far and checked together, where that is faster; no answer changes. " +
        "0, and with q4: none.",
    ),
  kvMemory: byteSize(1)
    .optional()
    .describe("Memory for keys and values, such as 2GiB. Unset: by the machine's memory."),
  prefixCache: byteSize(0)
    .optional()
    .describe(
      "Memory for the beginnings of prompts, which are not computed again when they come again, such as " +
        "512MiB; 0 keeps none. Unset: by the machine's memory.",
    ),
  router: text()
    .default("auto")
    .describe(
      "What chooses tasks: auto is a router of the built-in tasks, for models other than the default one " +
        "fitted once, in the background; off; or a file of seap router fit.",
    ),
  routing: routingRules()
    .prefault({})
    .describe('Rules that choose before the router does, as JSON: {"rules": [{"when", "task"}]}.'),
  stickyMargin: atLeastZero()
    .default(2)
    .describe(
      "Log-odds with which another task takes over a conversation; 0 routes each prompt by itself.",
    ),
  experts: expertSettings()
    .prefault("auto")
    .describe(
      "Whether tasks are answered by experts of their own: auto, off, or as JSON what is special of some: " +
        '{"tasks": {"code": {"sparsity": 0.3}, "chat": {"serve": false}}}.',
    ),
  expertMemory: byteSize(1)
    .optional()
    .describe("Memory for all experts together, such as 2GiB. Unset: by the machine's memory."),
  expertPolicy: oneOf(["task", "load-aware"])
    .default("load-aware")
    .describe(
      "Whether a task always gets its own expert, or a shared one where that is faster for all.",
    ),
  maxLossIncrease: lossIncrease()
    .default(0.1)
    .describe("Largest rise of held-out perplexity over the unpruned model; 0.1 is 10 %."),
  expertSparsity: sparsity()
    .optional()
    .describe("Share of the middle's parameters to remove, in place of --max-loss-increase."),
  expertTokens: integer(1)
    .default(8000)
    .describe("Tokens of its corpus that an expert is calibrated with."),
  whileBuilding: whileBuilding()
    .default("general")
    .describe("What a prompt does whose expert is not there yet: general answers it, or it waits."),
  preload: textList()
    .default([])
    .describe("Experts to build and load at the start, in this order, separated by commas."),
  expertIdleSeconds: seconds({ isZeroAllowed: true })
    .default(0)
    .describe("Seconds without use after which an expert leaves memory; 0 is never."),
  shadow: share()
    .default(0)
    .describe("Share of answers of experts that is compared with the unpruned model in idle time."),
  shadowMaxKl: between(0, 100)
    .default(0.5)
    .describe(
      "Mean KL divergence from the unpruned model, in nats a token, beyond which an expert serves no more.",
    ),
  bodyLimit: byteSize(1024)
    .default(8 * 2 ** 20)
    .describe("Largest request body; beyond it 413."),
  drainTimeoutSeconds: seconds({ isZeroAllowed: true })
    .default(30)
    .describe(
      "Seconds that running requests get after SIGTERM or SIGINT before they are cancelled.",
    ),
  keepAliveSeconds: seconds({ isZeroAllowed: false })
    .default(5)
    .describe("Seconds of silence in a stream before a comment line is sent."),
  apiKey: secretList()
    .optional()
    .describe(
      "Keys that clients may use, separated by commas. Other users of the machine can see flags: better in the " +
        "variable, or in a file. Unset: everybody may.",
    ),
  apiKeyFile: text()
    .optional()
    .describe("File of such keys, one a line; lines that begin with # are left out."),
  metricsOpen: yesOrNo()
    .default(false)
    .describe("Whether /metrics answers without a key, as /health and /ready do."),
  corsOrigins: originList()
    .default([])
    .describe("Origins whose web pages may use the server, separated by commas, or * for all."),
  allowedHosts: hostList()
    .default([])
    .describe(
      "Names under which a server without keys answers, besides localhost, addresses and --host, separated by " +
        "commas, or * for all.",
    ),
  rateLimit: rate()
    .optional()
    .describe(
      "Requests that a key, or without keys an address, may send, such as 60/min; beyond it 429.",
    ),
  maxConcurrentPerKey: integer(1)
    .optional()
    .describe(
      "Requests that a key, or without keys an address, may have running; one more is answered 429.",
    ),
  engineRestarts: integer(0, 100)
    .default(5)
    .describe(
      "How often in a row an engine that fails is started anew; then the process exits. One that runs for a minute " +
        "ends the row.",
    ),
  engineTimeoutSeconds: seconds({ isZeroAllowed: true })
    .default(600)
    .describe(
      "Seconds that the engine may take for one step. Beyond it the engine hangs, and the process exits; 0 is never.",
    ),
  receiveTimeoutSeconds: seconds({ isZeroAllowed: false })
    .default(60)
    .describe(
      "Seconds in which a request must have arrived, its headers within 10 of them; beyond it 408.",
    ),
  slowClientSeconds: seconds({ isZeroAllowed: false })
    .default(60)
    .describe("Seconds that a client may leave its answer unread before it is cut off."),
  websocketIdleSeconds: seconds({ isZeroAllowed: false })
    .default(300)
    .describe("Seconds after which a WebSocket on which nothing is asked or answered is closed."),
  logLevel: oneOf(logLevels).default("info").describe("Least level that is logged, to stderr."),
  logFormat: oneOf(logFormats)
    .default("text")
    .describe("How log lines are spelled: text for people, json for what collects them."),
  otlpEndpoint: httpUrl()
    .optional()
    .describe(
      "Where traces of requests are sent, by OTLP over HTTP, such as http://localhost:4318. Unset: nowhere.",
    ),
  cacheDir: text()
    .optional()
    .describe("Folder for fetched models. Unset: the user's cache folder."),
});

export type Config = z.output<typeof configSchema>;
type ConfigKey = keyof Config;

export const configKeys = Object.keys(configSchema.shape) as ConfigKey[];

export interface ConfigSources {
  /** What follows `seap serve`. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface ParsedConfig {
  readonly config: Config;
  /** To be logged. */
  readonly warnings: readonly string[];
}

/**
 * Reads the configuration: a flag wins over the environment, that over the `--config` file, that over the
 * default.
 * @throws ConfigError naming the flag, variable or file key that does not fit.
 */
export function parseConfig({ args, env }: ConfigSources): ParsedConfig {
  const flags = readFlags(args);
  const file = flags["config"] ?? env["SEAP_CONFIG"];
  const input: Record<string, unknown> = file === undefined ? {} : readConfigFile(file);
  const origins = new Map(Object.keys(input).map((key) => [key, `${file ?? ""}: ${key}`]));
  for (const key of configKeys) {
    const [flag, variable] = [toFlag(key), toVariable(key)];
    const name = flags[flag] !== undefined ? `--${flag}` : variable;
    const value = flags[flag] ?? ownVariable(env[variable]);
    if (value === undefined) continue;
    input[key] = value;
    origins.set(key, name);
  }
  const result = configSchema.safeParse(input);
  if (!result.success) {
    const issue = result.error.issues[0];
    const key = String(issue?.path[0] ?? "");
    throw new ConfigError(`${origins.get(key) ?? file ?? key}: ${issue?.message ?? "invalid"}`);
  }
  checkEngines(result.data, origins.get("engines") ?? "engines");
  return { config: result.data, warnings: unknownVariables(env) };
}

/** @param origin of the number of engines @throws ConfigError when one of them would get nothing */
function checkEngines({ engines, threads, maxBatch }: Config, origin: string): void {
  for (const [key, limit] of Object.entries({ threads, maxBatch })) {
    if (engines <= limit) continue;
    throw new ConfigError(
      `${origin}: expected at most --${toFlag(key)}, which is ${limit}, as each engine takes at least 1 of it, ` +
        `got ${engines}.`,
    );
  }
}

/** `maxBatch` as `max-batch`. */
export function toFlag(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `maxBatch` as `SEAP_MAX_BATCH`. */
export function toVariable(key: string): string {
  return `SEAP_${toFlag(key).replaceAll("-", "_").toUpperCase()}`;
}

function readFlags(args: readonly string[]): Readonly<Record<string, string | undefined>> {
  const names = ["config", ...configKeys.map(toFlag)];
  const options = Object.fromEntries(names.map((name) => [name, { type: "string" as const }]));
  try {
    return parseArgs({ args: [...args], options, strict: true }).values;
  } catch (error) {
    // Node's message goes on about how positional arguments could be allowed.
    const message = (error as Error).message.split(". ")[0] ?? "";
    throw new ConfigError(`${message}. See seap serve --help.`, { cause: error });
  }
}

function readConfigFile(file: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new ConfigError(`${file}: ${(error as Error).message}`, { cause: error });
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new ConfigError(`${file}: expected a JSON object of options.`);
  }
  return { ...parsed };
}

/** Kubernetes sets SEAP_PORT=tcp://… in every pod beside a service named seap: not meant for us. */
function ownVariable(value: string | undefined): string | undefined {
  return value === "" || value?.startsWith("tcp://") ? undefined : value;
}

function unknownVariables(env: ConfigSources["env"]): string[] {
  const known = new Set(["SEAP_CONFIG", ...configKeys.map(toVariable)]);
  return Object.keys(env)
    .filter((name) => name.startsWith("SEAP_") && !known.has(name))
    .map((name) => `The environment variable ${name} is none of seap serve's: it is ignored.`);
}
