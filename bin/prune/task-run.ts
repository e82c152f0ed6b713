import { builtinTasks } from "../../prune/tasks/builtin-tasks.ts";
import { readCorpusFile } from "../../prune/tasks/corpus.ts";
import type { CorpusRow } from "../../prune/tasks/corpus.ts";
import type { Shard } from "../../prune/calibration/profile.ts";
import { TaskProfiles } from "../../prune/calibration/task-profiles.ts";
import type { CommandIo } from "../command-line.ts";
import { EngineWriter } from "../engine-writer.ts";
import { openModelSession } from "../model-session.ts";
import type { ModelSession } from "../model-session.ts";
import { JsonProgress } from "../json-progress.ts";
import { ProgressBar } from "../progress-bar.ts";
import type { Progress } from "../progress-bar.ts";
import { taskNames } from "./prune-options.ts";
import type { ModelOptions } from "./prune-options.ts";

/** What decides how text is made of a corpus. */
export const textLimits = {
  /** Of the rows of a corpus: to judge with, and not calibrated with. */
  heldOutShare: 0.1,
  /** Longest text that is calibrated with, and longest prompt with its answer. */
  maxSequenceTokens: 512,
} as const;
/** Answers written at the same time. */
const concurrency = 16;

/** What a command needs to work on tasks of a model. */
export interface TaskRun {
  /** Those that were asked for. */
  readonly tasks: readonly string[];
  readonly session: ModelSession;
  /** Of these and of all that are built in. */
  readonly profiles: TaskProfiles;
  readonly progress: Progress;
}

/**
 * Opens the model, lets `use` work with it and closes everything.
 * @throws ConfigError, another SeapError, and the signal's reason
 */
export async function withTaskRun<T>(
  options: ModelOptions & { readonly shard?: Shard | undefined },
  io: CommandIo,
  signal: AbortSignal,
  use: (run: TaskRun) => Promise<T>,
): Promise<T> {
  const tasks = taskNames(options);
  const corpora = readCorpora(tasks, options.corpus);
  const write = (text: string): void => io.stderr(text);
  const progress =
    options.progress === "json"
      ? new JsonProgress(write)
      : new ProgressBar({ write, isTty: io.stderrIsTty ?? false });
  const log = (line: string): void => progress.line(line);
  let session: ModelSession | null = null;
  let writer: EngineWriter | null = null;
  try {
    session = await openModelSession({
      model: options.model,
      cacheDir: options.cacheDir,
      env: io.env,
      log,
      onProgress: ({ phase, receivedBytes, totalBytes }) => {
        if (totalBytes > 0) progress.report(phase, receivedBytes, totalBytes);
      },
    });
    const { weights, tokenizer, encoder, store } = session;
    const { vocabSize, contextLength } = weights.config;
    const maxSequenceTokens = Math.min(textLimits.maxSequenceTokens, contextLength);
    const limits = { maxSequenceTokens, concurrency };
    writer = new EngineWriter({
      ...limits,
      modelPath: session.path,
      tokenizer,
      vocabSize,
      numThreads: options.threads,
      signal,
    });
    const profiles = new TaskProfiles(weights, store, {
      ...limits,
      encoder,
      corpora,
      writer,
      eosTokenIds: tokenizer.eosTokenIds,
      heldOutShare: textLimits.heldOutShare,
      tokensPerTask: options.tokens,
      numThreads: options.threads,
      ...(options.shard && { shard: options.shard }),
      log,
      signal,
      onProgress: (phase, task, done, total) =>
        progress.report(`${task}: ${verbs[phase]}`, done, total),
    });
    return await use({ tasks, session, profiles, progress });
  } finally {
    progress.end();
    await writer?.close();
    session?.close();
  }
}

const verbs = { write: "writing answers", calibrate: "calibrating" } as const;

/** Files of all corpora: those that are built in, and the user's, of the one task that was asked for. */
export function corpusPaths(
  tasks: readonly string[],
  corpus?: string,
): ReadonlyMap<string, string> {
  const paths = new Map(builtinTasks.map(({ name, corpusPath }) => [name, corpusPath]));
  if (corpus !== undefined) paths.set(tasks[0]!, corpus);
  return paths;
}

/** The built-in corpora, read when they are needed, and the user's, read now so that a mistake shows. */
function readCorpora(
  tasks: readonly string[],
  corpus: string | undefined,
): ReadonlyMap<string, () => readonly CorpusRow[]> {
  const corpora = new Map<string, () => readonly CorpusRow[]>();
  for (const [task, path] of corpusPaths(tasks)) corpora.set(task, () => readCorpusFile(path));
  if (corpus !== undefined) {
    const rows = readCorpusFile(corpus);
    corpora.set(tasks[0]!, () => rows);
  }
  return corpora;
}
