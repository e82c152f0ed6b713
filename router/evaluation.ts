import { ClusterRouter } from "./cluster-router.ts";
import { principalDirections, dot } from "./matrix.ts";
import {
  accuracyOf,
  areaUnderRoc,
  confusedPairs,
  countConfusion,
  labelScores,
  macroF1,
} from "./metrics.ts";
import type { ConfusedPair, Confusion, LabelScore } from "./metrics.ts";
import type { Router, RouterKind } from "./router.ts";

/** Prompts of one source, as features. */
export interface TestSet {
  readonly name: string;
  /** Null for prompts that no task should get. */
  readonly task: string | null;
  readonly rows: readonly Float32Array[];
}

export interface TestSetResult {
  readonly name: string;
  readonly task: string;
  readonly numRows: number;
  /** Share whose likeliest task is the right one, rejected or not. */
  readonly accuracy: number;
  /** Share that was sent to no task. */
  readonly falseRejection: number;
}

export interface ForeignSetResult {
  readonly name: string;
  readonly numRows: number;
  /** Against the prompts of the tasks. */
  readonly auroc: number;
  /** Share that was sent to no task, as it should. */
  readonly rejected: number;
}

export interface MapPoint {
  readonly x: number;
  readonly y: number;
  /** Null for prompts of no task. */
  readonly task: string | null;
  /** Name of the test set. */
  readonly source: string;
}

/** How a router does on prompts that it was not fitted with. */
export interface RouterResult {
  readonly suite: string;
  readonly kind: RouterKind;
  /** Of the likeliest tasks, rejected or not. */
  readonly accuracy: number;
  readonly macroF1: number;
  /** Share of the tasks' prompts that were sent to their task: likeliest, and not rejected. */
  readonly rightTask: number;
  /** Share of all prompts, those of no task too, that were sent to a task that is not theirs. */
  readonly wrongTask: number;
  readonly tasks: readonly LabelScore[];
  readonly confusion: Confusion;
  readonly confusedPairs: readonly ConfusedPair[];
  readonly sets: readonly TestSetResult[];
  readonly rejection: {
    readonly falseRejection: number;
    /** Over all prompts of no task; null where there are none. */
    readonly auroc: number | null;
    /** The same with every set counting alike. */
    readonly meanAuroc: number | null;
    readonly sets: readonly ForeignSetResult[];
  };
  readonly microsecondsPerDecision: number;
  /** In two dimensions; null for routers without a space. */
  readonly map: readonly MapPoint[] | null;
}

const numPairs = 8;
/** Of each set, so that the map can be read. */
const pointsPerSet = 120;

/** @param now milliseconds on a steady clock */
export function evaluateRouter(
  suite: string,
  router: Router,
  sets: readonly TestSet[],
  now: () => number = () => performance.now(),
): RouterResult {
  const started = now();
  const decided = sets.map(({ name, task, rows }) => ({
    name,
    task,
    decisions: rows.map((row) => router.route(row)),
  }));
  const numDecisions = sets.reduce((sum, { rows }) => sum + rows.length, 0);
  const microsecondsPerDecision = (1000 * (now() - started)) / numDecisions;

  const own = decided.flatMap(({ name, task, decisions }) =>
    task === null ? [] : [{ name, task, decisions }],
  );
  const confusion = countConfusion(
    router.tasks,
    own.flatMap(({ task, decisions }) =>
      decisions.map(({ scores }) => ({ label: task, chosen: scores[0]!.task })),
    ),
  );
  const strangeness = own.flatMap(({ decisions }) => decisions.map((d) => d.strangeness));
  const foreign = decided.filter(({ task }) => task === null);
  const foreignSets = foreign.map(({ name, decisions }) => ({
    name,
    numRows: decisions.length,
    auroc: areaUnderRoc(
      strangeness,
      decisions.map((decision) => decision.strangeness),
    ),
    rejected: shareOf(decisions, ({ task }) => task === null),
  }));
  const all = foreign.flatMap(({ decisions }) => decisions.map((d) => d.strangeness));
  const tasks = labelScores(confusion);
  return {
    suite,
    kind: router.kind,
    accuracy: accuracyOf(confusion),
    macroF1: macroF1(tasks),
    rightTask: shareOf(
      own.flatMap(({ task, decisions }) => decisions.map((decision) => decision.task === task)),
      (isRight) => isRight,
    ),
    wrongTask: shareOf(
      decided.flatMap(({ task, decisions }) =>
        decisions.map((decision) => decision.task !== null && decision.task !== task),
      ),
      (isWrong) => isWrong,
    ),
    tasks,
    confusion,
    confusedPairs: confusedPairs(confusion, numPairs),
    sets: own.map(({ name, task, decisions }) => ({
      name,
      task,
      numRows: decisions.length,
      accuracy: shareOf(decisions, ({ scores }) => scores[0]!.task === task),
      falseRejection: shareOf(decisions, (decision) => decision.task === null),
    })),
    rejection: {
      falseRejection: shareOf(
        own.flatMap(({ decisions }) => decisions),
        (decision) => decision.task === null,
      ),
      auroc: foreign.length === 0 ? null : areaUnderRoc(strangeness, all),
      meanAuroc:
        foreign.length === 0
          ? null
          : foreignSets.reduce((sum, { auroc }) => sum + auroc, 0) / foreignSets.length,
      sets: foreignSets,
    },
    microsecondsPerDecision,
    map: router instanceof ClusterRouter ? mapOf(router, sets) : null,
  };
}

/** Places in the router's space, seen along its two widest directions. */
function mapOf(router: ClusterRouter, sets: readonly TestSet[]): MapPoint[] {
  const places = sets.flatMap(({ name, task, rows }) =>
    rows.slice(0, pointsPerSet).map((row) => ({ name, task, place: router.place(row) })),
  );
  const own = places.filter(({ task }) => task !== null).map(({ place }) => place);
  if (own.length === 0) return [];
  const [first, second] = principalDirections(own, 2);
  return places.map(({ name, task, place }) => ({
    x: first === undefined ? 0 : dot(first, place),
    y: second === undefined ? 0 : dot(second, place),
    task,
    source: name,
  }));
}

function shareOf<T>(items: readonly T[], holds: (item: T) => boolean): number {
  return items.filter((item) => holds(item)).length / items.length;
}
