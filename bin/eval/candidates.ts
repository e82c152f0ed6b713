import type { ModelWeights } from "../../model/weights/config.ts";
import { readExpert } from "../../model/experts/expert-artifact.ts";
import { buildMiddleSegments, totalBytes } from "../../model/stages/model-stages.ts";
import type { WeightFormat } from "../../model/weights/quantize.ts";
import { buildExpert, expertKey } from "../../prune/experts/build-expert.ts";
import type { BuildExpertOptions } from "../../prune/experts/build-expert.ts";
import type { Candidate } from "../../prune/evaluation/evaluate.ts";
import { expertTaskOf } from "../../prune/evaluation/read-tasks.ts";
import { methodLabel } from "../../prune/evaluation/result.ts";
import type { ProfileSource } from "../../prune/calibration/profile-source.ts";
import { isGeneralMethod } from "../../prune/choice/recipe.ts";
import type { Method } from "../../prune/choice/recipe.ts";
import { generalTask } from "../../prune/calibration/task-profiles.ts";
import type { ScratchExperts } from "./scratch-experts.ts";

export interface CandidateOptions {
  readonly weights: ModelWeights;
  readonly format: WeightFormat;
  readonly profiles: ProfileSource;
  readonly store: ScratchExperts;
  readonly log: (line: string) => void;
  /** Called with the candidate's label as its expert is built. */
  readonly onProgress: (label: string, done: number, total: number) => void;
  /** Ends a build, with its reason. */
  readonly signal: AbortSignal;
}

/** A candidate with what its row of the report is called. */
export interface NamedCandidate extends Candidate {
  readonly name: string;
  readonly sparsityTarget: number | null;
}

/** The unpruned model. */
export function denseCandidate({
  weights,
  format,
}: Pick<CandidateOptions, "weights" | "format">): NamedCandidate {
  return {
    name: "dense",
    label: "dense",
    sparsityTarget: null,
    middleFor: () =>
      Promise.resolve({
        key: "dense",
        load: () => {
          const segments = buildMiddleSegments(weights, format, { name: "dense" });
          return Promise.resolve({
            segments,
            plan: null,
            sizeBytes: totalBytes(segments),
            buildSeconds: null,
          });
        },
      }),
  };
}

/** Each task's own expert, or one for all where the method says so. */
export function expertCandidate(
  method: Method,
  target: number,
  options: CandidateOptions,
): NamedCandidate {
  const { weights, profiles, store, format, log, signal } = options;
  const isGeneral = isGeneralMethod(method);
  const label = methodLabel({ name: method, sparsityTarget: target });
  return {
    name: method,
    label,
    sparsityTarget: target,
    async middleFor(task) {
      const build: BuildExpertOptions = {
        task: isGeneral ? generalTask : expertTaskOf(task),
        method,
        target,
        format,
        log,
        signal,
        onProgress: (done, total) => options.onProgress(`${task}, ${label}`, done, total),
      };
      const key = await expertKey(weights, profiles, store, build);
      const load = async () => {
        const { artifact, buildSeconds } = await buildExpert(weights, profiles, store, build);
        const { plan, segments } = readExpert(artifact);
        // The one for all tasks is wanted again.
        if (!isGeneral) await store.discard(key);
        return { segments, plan, sizeBytes: totalBytes(segments), buildSeconds };
      };
      return { key, load };
    },
  };
}
