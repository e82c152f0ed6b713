import type { EvaluationProgress } from "../../prune/evaluation/evaluate.ts";
import type { ProgressBar } from "../progress-bar.ts";

/** Shows how far an evaluation is: the measurement at hand, and a line for each that is done. */
export class EvalProgress {
  readonly #bar: ProgressBar;
  readonly #now: () => number;
  readonly #startedAt: number;
  #pieceStartedAt: number;
  #piece = "";
  #numKnown = 0;

  /** @param now milliseconds on a steady clock */
  constructor(bar: ProgressBar, now: () => number = () => performance.now()) {
    this.#bar = bar;
    this.#now = now;
    this.#startedAt = this.#pieceStartedAt = now();
  }

  /** Measurements that had been made before. */
  get numKnown(): number {
    return this.#numKnown;
  }

  report(progress: EvaluationProgress): void {
    if (progress.isKnown) {
      this.#numKnown += 1;
      return;
    }
    const { task, label, numDone, numRows } = progress;
    const piece = `${task}, ${label}`;
    if (piece !== this.#piece) {
      this.#piece = piece;
      this.#pieceStartedAt = this.#now();
    }
    if (numDone < numRows) {
      this.#bar.report(`${piece} (${numRows} rows)`, numDone, numRows);
      return;
    }
    const seconds = ((this.#now() - this.#pieceStartedAt) / 1000).toFixed(1);
    this.#bar.line(`${piece}: ${numRows} rows in ${seconds} s${this.#left(progress)}`);
  }

  #left({ tokensDone, tokensToDo }: EvaluationProgress): string {
    if (tokensDone >= tokensToDo) return "";
    const seconds =
      ((this.#now() - this.#startedAt) / 1000) * ((tokensToDo - tokensDone) / tokensDone);
    const left = seconds < 120 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
    return `; about ${left} left`;
  }
}
