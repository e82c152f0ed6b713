import type { ExpertEntry } from "./expert-entry.ts";
import { chooseOwnExperts, type StepCost, type TaskGroup } from "./serve-policy.ts";

export interface RunningSequence {
  /** Name of the middle that it runs on. */
  readonly expert: string;
  readonly task: string | null;
}

export interface Placement {
  /** Resident, of the task of the next sequence. */
  readonly entry: ExpertEntry;
  readonly entries: Iterable<ExpertEntry>;
  /** What sequences of all tasks may run on together. */
  readonly shared: { readonly name: string; readonly cost: StepCost };
  readonly running: Iterable<RunningSequence>;
}

/** Whether all sequences together are fast enough if the next one of a task runs on its own expert. */
export function isWorthItsOwn(placement: Placement): boolean {
  const { entry, entries, shared } = placement;
  const running = [...placement.running];
  const groups = new Map<string, TaskGroup>();
  for (const { name: task, cost } of entries) {
    if (cost === null || task === shared.name) continue;
    const rows = running.filter((one) => one.task === task).length + (task === entry.name ? 1 : 0);
    if (rows > 0) groups.set(task, { task, rows, cost });
  }
  const others = running.filter(
    ({ expert, task }) => expert === shared.name && (task === null || !groups.has(task)),
  );
  // Nobody to share with: a step's measured time, which varies, must not keep a task from its expert.
  if (groups.size === 1 && others.length === 0) return true;
  const own = chooseOwnExperts([...groups.values()], { cost: shared.cost, rows: others.length });
  return own.has(entry.name);
}
