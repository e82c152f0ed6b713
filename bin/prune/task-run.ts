import { builtinTasks } from "../../prune/builtin-tasks.ts";
import { readCorpusFile } from "../../prune/corpus.ts";
import type { CorpusRow } from "../../prune/corpus.ts";
import type { Shard } from "../../prune/profile.ts";
import { TaskProfiles } from "../../prune/task-profiles.ts";
import type { CommandIo } from "../command-line.ts";
import { EngineWriter } from "../engine-writer.ts";
import { openModelSession } from "../model-session.ts";
import type { ModelSession } from "../model-session.ts";
import { ProgressBar } from "../progress-bar.ts";
import { taskNames } from "./prune-options.ts";
import type { ModelOptions } from "./prune-options.ts";

/** Of the rows of a corpus: to judge with, and not calibrated with. */
const heldOutShare = 0.1;
/** Longest text that is calibrated with, and longest prompt with its answer. */
const maxSequenceTokens = 512;
/** Answers written at the same time. */
const concurrency = 16;

/** What a command needs to work on tasks of a model. */
export interface TaskRun {
  /** Those that were asked for. */
  readonly tasks: readonly string[];
  readonly session: ModelSession;
  /** Of these and of all that are built in. */
  readonly profiles: TaskProfiles;
  readonly bar: ProgressBar;
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
  const bar = new ProgressBar({
    write: (text) => io.stderr(text),
    isTty: io.stderrIsTty ?? false,
  });
  const log = (line: string): void => bar.line(line);
  let session: ModelSession | null = null;
  let writer: EngineWriter | null = null;
  try {
    session = await openModelSession({
      model: options.model,
      cacheDir: options.cacheDir,
      env: io.env,
      log,
      onProgress: ({ phase, receivedBytes, totalBytes }) => {
        if (totalBytes > 0) bar.report(phase, receivedBytes, totalBytes);
      },
    });
    const { weights, tokenizer, encoder, store } = session;
    const { vocabSize, contextLength } = weights.config;
    const limits = { maxSequenceTokens: Math.min(maxSequenceTokens, contextLength), concurrency };
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
      heldOutShare,
      tokensPerTask: options.tokens,
      numThreads: options.threads,
      ...(options.shard && { shard: options.shard }),
      log,
      signal,
      onProgress: (phase, task, done, total) => bar.report(`${task}: ${verbs[phase]}`, done, total),
    });
    return await use({ tasks, session, profiles, bar });
  } finally {
    bar.end();
    await writer?.close();
    session?.close();
  }
}

const verbs = { write: "writing answers", calibrate: "calibrating" } as const;

/** The built-in corpora, read when they are needed, and the user's, read now so that a mistake shows. */
function readCorpora(
  tasks: readonly string[],
  corpus: string | undefined,
): ReadonlyMap<string, () => readonly CorpusRow[]> {
  const corpora = new Map<string, () => readonly CorpusRow[]>(
    builtinTasks.map(({ name, corpusPath }) => [name, () => readCorpusFile(corpusPath)]),
  );
  if (corpus !== undefined) {
    const rows = readCorpusFile(corpus);
    corpora.set(tasks[0]!, () => rows);
  }
  return corpora;
}
