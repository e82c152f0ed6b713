import type { MeasureRow } from "./measures.ts";

/** What a row is to reach beside llama.cpp: at least its speed, at most its time. */
export const goalRatio = 1;

/** Whether ours is as good as the goal wants it. */
export function reachesGoal({ unit }: MeasureRow, ratio: number): boolean {
  return unit === "tokens/s" ? ratio >= goalRatio : ratio <= goalRatio;
}
