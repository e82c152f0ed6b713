import { RouterError } from "./errors.ts";

/** Prompts to fit a router with, as features. */
export interface TrainingSet {
  /** Features of prompts by task. */
  readonly tasks: ReadonlyMap<string, readonly Float32Array[]>;
  /** Features of prompts of none of the tasks, in groups of one kind each. */
  readonly background: ReadonlyMap<string, readonly Float32Array[]>;
}

/** Prompts of one kind. */
export interface Group {
  /** Null for prompts of no task. */
  readonly task: string | null;
  readonly rows: readonly Float32Array[];
}

/** Fewer say nothing about how the prompts of a task differ. */
const minRows = 8;

/** Tasks by name, then the background. @throws RouterError when there is too little to learn from. */
export function groupsOf({ tasks, background }: TrainingSet): Group[] {
  const sorted = (groups: TrainingSet["tasks"]) =>
    [...groups].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const groups: Group[] = [
    ...sorted(tasks).map(([task, rows]) => ({ task, rows })),
    ...sorted(background).map(([, rows]) => ({ task: null, rows })),
  ];
  if (tasks.size < 2) {
    throw new RouterError(`Expected at least 2 tasks to choose from, got ${tasks.size}.`);
  }
  for (const [name, rows] of [...tasks, ...background]) {
    if (rows.length >= minRows) continue;
    throw new RouterError(
      `${name}: expected at least ${minRows} prompts to fit a router with, got ${rows.length}.`,
    );
  }
  return groups;
}

/**
 * Every fourth pair of rows apart, for what must not be judged by rows that were fitted. Two rows that belong
 * together, as the same prompt put in two ways, are a pair.
 */
export function splitGroup({ task, rows }: Group): { fitted: Group; heldOut: Group } {
  const isHeldOut = (index: number): boolean => Math.floor(index / 2) % 4 === 3;
  return {
    fitted: { task, rows: rows.filter((_, index) => !isHeldOut(index)) },
    heldOut: { task, rows: rows.filter((_, index) => isHeldOut(index)) },
  };
}
