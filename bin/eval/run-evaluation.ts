import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { withTempDir } from "../../model/files/file-cache.ts";
import { stageBorders } from "../../model/stages/model-stages.ts";
import type { CorpusRow } from "../../prune/tasks/corpus.ts";
import { encodeTask } from "../../prune/evaluation/encode-task.ts";
import { EvaluationError } from "../../prune/tasks/errors.ts";
import { evaluate } from "../../prune/evaluation/evaluate.ts";
import { MeasurementStore } from "../../prune/evaluation/measurement-store.ts";
import { distinctPlans, methodResult } from "../../prune/evaluation/method-result.ts";
import type { TaskRows } from "../../prune/evaluation/read-tasks.ts";
import { formatJson, formatMarkdown, formatOverview } from "../reports/evaluation-tables.ts";
import { formatPage } from "../reports/evaluation-page.ts";
import type { EvaluatedModel, EvaluationResult } from "../../prune/evaluation/result.ts";
import { ScoringModel } from "../../prune/scoring/scoring-model.ts";
import { TaskProfiles } from "../../prune/calibration/task-profiles.ts";
import type { CommandIo } from "../command-line.ts";
import { openModelSession } from "../model-session.ts";
import type { ModelSession } from "../model-session.ts";
import { ProgressBar } from "../progress-bar.ts";
import { denseCandidate, expertCandidate } from "./candidates.ts";
import { EngineGenerator } from "./engine-generator.ts";
import { readCorpora, readEvaluated } from "./eval-data.ts";
import type { EvalOptions } from "./eval-options.ts";
import { EvalProgress } from "./eval-progress.ts";
import { ScratchExperts } from "./scratch-experts.ts";

/**
 * Measures every method at every sparsity on every task, prints the table and writes the report.
 * @throws SeapError, and the signal's reason
 */
export async function runEvaluation(
  options: EvalOptions,
  io: CommandIo,
  signal: AbortSignal,
): Promise<void> {
  const bar = new ProgressBar({
    write: (text) => io.stderr(text),
    isTty: io.stderrIsTty ?? false,
  });
  try {
    const tasks = readEvaluated(options, (line) => bar.line(line));
    const corpora = readCorpora(options, tasks);
    const session = await openModelSession({
      model: options.model,
      cacheDir: options.cacheDir,
      env: io.env,
      log: (line) => bar.line(line),
      onProgress: ({ phase, receivedBytes, totalBytes }) => {
        if (totalBytes) bar.report(phase, receivedBytes, totalBytes);
      },
    });
    try {
      const result = await withTempDir(session.store.dir, (scratchDir) =>
        measure(options, { session, tasks, corpora, scratchDir, bar, signal }),
      );
      bar.end();
      writeReport(result, options.out);
      io.stdout(options.json ? formatJson(result) : formatOverview(result));
      bar.line(`The report is in ${join(resolve(options.out), "report.html")}.`);
    } finally {
      session.close();
    }
  } finally {
    bar.end();
  }
}

interface Run {
  readonly session: ModelSession;
  readonly tasks: readonly TaskRows[];
  readonly corpora: ReadonlyMap<string, () => readonly CorpusRow[]>;
  readonly scratchDir: string;
  readonly bar: ProgressBar;
  readonly signal: AbortSignal;
}

async function measure(
  { methods, sparsity, rows, tokens, threads, weights: format }: EvalOptions,
  { session, tasks, corpora, scratchDir, bar, signal }: Run,
): Promise<EvaluationResult> {
  const { weights, tokenizer, encoder, store } = session;
  const { eosTokenIds } = tokenizer;
  const log = (line: string): void => bar.line(line);
  const encoded = tasks.map((task) =>
    encodeTask(task, {
      tokenizer,
      encoder,
      contextLength: weights.config.contextLength,
      maxRows: rows,
    }),
  );
  const profiles = new TaskProfiles(weights, store, {
    encoder,
    corpora,
    writer: null,
    eosTokenIds,
    heldOutShare: 0,
    tokensPerTask: tokens,
    numThreads: threads,
    log,
    signal,
    onProgress: (_, task, done, total) => bar.report(`calibrating ${task}`, done, total),
  });
  const candidateOptions = {
    weights,
    format,
    profiles,
    store: new ScratchExperts(store, scratchDir),
    log,
    signal,
    onProgress: (label: string, done: number, total: number) =>
      bar.report(`building ${label}`, done, total),
  };
  const dense = denseCandidate(candidateOptions);
  const others = methods.flatMap((method) =>
    sparsity.map((target) => expertCandidate(method, target, candidateOptions)),
  );
  const loadOptions = { format, numThreads: threads };
  const scoring = new OnDemand(() => ScoringModel.load(weights, loadOptions));
  const { tokenTable } = tokenizer;
  const generator = new OnDemand(() =>
    EngineGenerator.load(weights, { ...loadOptions, tokenTable, signal }),
  );
  const progress = new EvalProgress(bar);
  try {
    const measured = await evaluate(encoded, dense, others, {
      measurements: new MeasurementStore(store, log),
      modelHash: weights.contentHash,
      format,
      scoringModel: () => scoring.get(),
      answerGenerator: () => generator.get(),
      onProgress: (event) => progress.report(event),
      signal,
    });
    if (progress.numKnown > 0) {
      log(`${progress.numKnown} of ${measured.flat().length} measurements had been made before.`);
    }
    return {
      schemaVersion: 1,
      model: describeModel(session),
      maxRows: rows,
      methods: [dense, ...others].map((candidate, index) =>
        methodResult(candidate, encoded, measured[index]!, index === 0 ? null : measured[0]!),
      ),
      plans: others.flatMap(({ name: method, sparsityTarget }, index) =>
        distinctPlans(measured[index + 1]!).map((plan) => ({
          method,
          sparsityTarget: sparsityTarget!,
          plan,
        })),
      ),
    };
  } finally {
    await (await scoring.loaded())?.release();
    await (await generator.loaded())?.dispose();
  }
}

/** Loaded when it is first asked for. */
class OnDemand<T> {
  readonly #load: () => Promise<T>;
  #value: Promise<T> | null = null;

  constructor(load: () => Promise<T>) {
    this.#load = load;
  }

  get(): Promise<T> {
    return (this.#value ??= this.#load());
  }

  /** Null where it was not asked for or could not be loaded. */
  async loaded(): Promise<T | null> {
    return this.#value?.catch(() => null) ?? null;
  }
}

function describeModel({ name, weights }: ModelSession): EvaluatedModel {
  const { numLayers, hiddenSize, numHeads, numKvHeads, headDim, intermediateSize } = weights.config;
  return {
    name,
    hash: weights.contentHash,
    firstLayer: stageBorders(weights.config).middle,
    numLayers,
    hiddenSize,
    numHeads,
    numKvHeads,
    headDim,
    intermediateSize,
  };
}

function writeReport(result: EvaluationResult, out: string): void {
  try {
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, "report.json"), formatJson(result));
    writeFileSync(join(out, "report.md"), formatMarkdown(result));
    writeFileSync(join(out, "report.html"), formatPage(result));
  } catch (cause) {
    throw new EvaluationError(
      `The report cannot be written to ${resolve(out)} (${(cause as Error).message}).`,
      { cause },
    );
  }
}
