/** What a decode step through one middle takes, as a straight line over the sequences in it. */
export interface StepCost {
  /** Seconds of a step, however few sequences there are: all weights are read. */
  readonly fixedSeconds: number;
  /** Seconds that each sequence adds. */
  readonly perRowSeconds: number;
}

/** What a step with one sequence takes. */
export function secondsOfOne({ fixedSeconds, perRowSeconds }: StepCost): number {
  return fixedSeconds + perRowSeconds;
}

/** The running sequences of one task whose expert is in memory. */
export interface TaskGroup {
  readonly task: string;
  /** The one that is being placed included. */
  readonly rows: number;
  /** On the task's own expert. */
  readonly cost: StepCost;
}

/** The middle that takes the sequences of all tasks that get none of their own. */
export interface SharedMiddle {
  readonly cost: StepCost;
  /** Sequences that run on it whatever is chosen. */
  readonly rows: number;
}

/** Share of a step's time that must be won before a task gives up its own expert. */
const leastGain = 0.02;

/**
 * Divides the tasks between their own experts and the shared middle, such that a decode step over all of them takes
 * the least time. The largest groups keep their own experts; where it makes no difference, all do.
 *
 * @returns tasks that run on their own experts
 */
export function chooseOwnExperts(groups: readonly TaskGroup[], shared: SharedMiddle): Set<string> {
  // What a group takes beyond its rows on the shared middle, which grows by the row and not by the group.
  const priceOf = ({ rows, cost }: TaskGroup): number =>
    stepSeconds(cost, rows) - rows * shared.cost.perRowSeconds;
  const dearestFirst = [...groups].sort((a, b) => priceOf(b) - priceOf(a) || a.rows - b.rows);

  let own = dearestFirst;
  let leastSeconds = Infinity;
  for (let numShared = 0; numShared <= groups.length; numShared++) {
    const kept = dearestFirst.slice(numShared);
    const sharedRows = sum(dearestFirst.slice(0, numShared), ({ rows }) => rows);
    const seconds =
      sum(kept, ({ rows, cost }) => stepSeconds(cost, rows)) +
      stepSeconds(shared.cost, shared.rows + sharedRows);
    if (seconds < leastSeconds * (1 - leastGain)) {
      own = kept;
      leastSeconds = seconds;
    }
  }
  return new Set(own.map(({ task }) => task));
}

/** What a decode step of so many sequences takes; nothing without one. */
export function stepSeconds({ fixedSeconds, perRowSeconds }: StepCost, rows: number): number {
  return rows === 0 ? 0 : fixedSeconds + rows * perRowSeconds;
}

function sum<Item>(items: readonly Item[], value: (item: Item) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}
