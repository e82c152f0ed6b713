import type { StageModel } from "../../model/stages/stage-spec.ts";
import type { AnswerGenerator } from "./answer-generator.ts";
import type { EncodedGeneration, EncodedTask } from "./encode-task.ts";
import { solveProblems } from "./math-answers.ts";
import type {
  MeasuredMiddle,
  Measurement,
  MeasurementSource,
  MeasurementStore,
  Outcomes,
} from "./measurement-store.ts";
import { judgeChoices } from "./multiple-choice.ts";
import type { PreparedSequences, ReferenceStates, ScoringModel } from "../scoring/scoring-model.ts";
import { textOutcomes } from "../scoring/text-quality.ts";

/** A method at one sparsity, or dense. */
export interface Candidate {
  /** For progress. */
  readonly label: string;
  /** The middle for a task: its expert's, or the same for all. Asked for once per task. */
  middleFor(task: string): Promise<CandidateMiddle>;
}

type Segments = readonly StageModel[];

/** A middle that is built or read only where it is to be measured. */
export interface CandidateMiddle {
  /** Names it through what it is made from. */
  readonly key: string;
  load(): Promise<MeasuredMiddle & { readonly segments: Segments }>;
}

export interface EvaluateOptions {
  readonly measurements: MeasurementStore;
  /** Of the model that all middles are of. */
  readonly modelHash: string;
  /** Of all weights. */
  readonly format: string;
  /** What scores; asked for when there is something to score, and not released here. */
  readonly scoringModel: () => Promise<ScoringModel>;
  /** What writes answers; asked for when there are some to write, and not released here. */
  readonly answerGenerator: () => Promise<AnswerGenerator>;
  readonly onProgress?: (progress: EvaluationProgress) => void;
  /** Ends the run after the batch it is at, with its reason. */
  readonly signal?: AbortSignal;
}

export interface EvaluationProgress {
  readonly task: string;
  readonly label: string;
  /** Rows done of the task by this candidate. */
  readonly numDone: number;
  readonly numRows: number;
  /** Tokens of the measurements that were made so far. */
  readonly tokensDone: number;
  /** Tokens of all that are to be made, as far as is known. */
  readonly tokensToDo: number;
  /** Measured before: there is nothing to be done. */
  readonly isKnown: boolean;
}

/**
 * Every task by every candidate, task after task, so that all share what the trunk made of the task's rows. One middle
 * is loaded at a time. What was measured before is not measured again.
 * @param dense what the others are compared with
 * @returns measurements of dense, then of each candidate, in the order of the tasks
 * @throws CalibrationError, InferenceError, and the signal's reason
 */
export async function evaluate(
  tasks: readonly EncodedTask[],
  dense: Candidate,
  candidates: readonly Candidate[],
  options: EvaluateOptions,
): Promise<Measurement[][]> {
  const run = new EvaluationRun(tasks, 1 + candidates.length, options);
  const measurements: Measurement[][] = [dense, ...candidates].map(() => []);
  for (const task of tasks) {
    const row = await run.measureTask(task, dense, candidates);
    for (const [index, measurement] of row.entries()) measurements[index]!.push(measurement);
  }
  return measurements;
}

/** A candidate on a task; `known` is what was measured before. */
interface Piece {
  readonly label: string;
  readonly middle: CandidateMiddle;
  readonly source: MeasurementSource;
  readonly known: Measurement | null;
}

class EvaluationRun {
  readonly #options: EvaluateOptions;
  #tokensDone = 0;
  #tokensToDo: number;

  constructor(tasks: readonly EncodedTask[], numCandidates: number, options: EvaluateOptions) {
    this.#options = options;
    this.#tokensToDo = numCandidates * tasks.reduce((sum, { numTokens }) => sum + numTokens, 0);
  }

  /** Dense first. */
  async measureTask(
    task: EncodedTask,
    dense: Candidate,
    candidates: readonly Candidate[],
  ): Promise<Measurement[]> {
    const pieces: Piece[] = [];
    for (const candidate of [dense, ...candidates]) {
      const piece = await this.#find(task, candidate);
      if (piece.known) this.#tokensToDo -= task.numTokens;
      pieces.push(piece);
    }
    if (task.kind === "generation") {
      const measured: Measurement[] = [];
      for (const piece of pieces) {
        measured.push(
          await this.#measure(task, piece, (segments) => this.#solve(task, piece, segments)),
        );
      }
      return measured;
    }
    return this.#scoreAll(task, pieces);
  }

  async #find({ name, contentHash }: EncodedTask, candidate: Candidate): Promise<Piece> {
    const { measurements, modelHash, format, signal } = this.#options;
    signal?.throwIfAborted();
    const middle = await candidate.middleFor(name);
    const source = { task: name, contentHash, modelHash, format, middleKey: middle.key };
    return { label: candidate.label, middle, source, known: await measurements.read(source) };
  }

  async #scoreAll(
    task: Exclude<EncodedTask, EncodedGeneration>,
    [dense, ...others]: Piece[],
  ): Promise<Measurement[]> {
    const measured: Measurement[] = [];
    let prepared: PreparedSequences | null = null;
    let reference: ReferenceStates | undefined;
    const score = async (piece: Piece, segments: Segments): Promise<Outcomes> => {
      const model = await this.#options.scoringModel();
      prepared ??= model.prepare(task.groups);
      const middle = await model.loadMiddle(segments);
      try {
        const { scores, states } = await model.score(prepared, middle, {
          ...(reference && { reference }),
          ...(this.#options.signal && { signal: this.#options.signal }),
          onProgress: (tokens, groups) => this.#report(task, piece, groups, tokens),
        });
        if (piece === dense && task.kind === "text") reference = states;
        return task.kind === "choice" ? judgeChoices(task.questions, scores) : textOutcomes(scores);
      } finally {
        await middle.release();
      }
    };
    const needsReference = task.kind === "text" && others.some(({ known }) => known === null);
    if (dense!.known && needsReference) {
      // Its outcomes are known, but not the states that others are compared with.
      const { segments } = await dense!.middle.load();
      this.#tokensToDo += task.numTokens;
      await score(dense!, segments);
      this.#tokensDone += task.numTokens;
    }
    for (const piece of [dense!, ...others]) {
      measured.push(await this.#measure(task, piece, (segments) => score(piece, segments)));
    }
    return measured;
  }

  async #solve(task: EncodedGeneration, piece: Piece, segments: Segments): Promise<Outcomes> {
    const generator = await (await this.#options.answerGenerator()).open(segments);
    try {
      return await solveProblems(
        task.problems,
        (promptTokenIds, maxTokens) => generator.generate(promptTokenIds, maxTokens),
        (numDone) => this.#report(task, piece, numDone, (numDone / task.numRows) * task.numTokens),
      );
    } finally {
      await generator.close();
    }
  }

  async #measure(
    task: EncodedTask,
    piece: Piece,
    outcomesOf: (segments: Segments) => Promise<Outcomes>,
  ): Promise<Measurement> {
    if (piece.known) {
      this.#report(task, piece, task.numRows, 0, true);
      return piece.known;
    }
    this.#options.signal?.throwIfAborted();
    const { segments, plan, sizeBytes, buildSeconds } = await piece.middle.load();
    const outcomes = await outcomesOf(segments);
    const measurement = { middle: { plan, sizeBytes, buildSeconds }, outcomes };
    await this.#options.measurements.write(piece.source, measurement);
    this.#tokensDone += task.numTokens;
    return measurement;
  }

  /** @param tokens done of this piece, and not yet counted */
  #report(
    task: EncodedTask,
    { label }: Piece,
    numDone: number,
    tokens: number,
    isKnown = false,
  ): void {
    this.#options.onProgress?.({
      task: task.name,
      label,
      numDone,
      numRows: task.numRows,
      tokensDone: this.#tokensDone + tokens,
      tokensToDo: this.#tokensToDo,
      isKnown,
    });
  }
}
