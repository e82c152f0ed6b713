import { Worker } from "node:worker_threads";
import { ModelLoadError } from "../errors.ts";
import type { StagePart } from "../stages/build-stage.ts";
import type { UseStage } from "./stage-source.ts";
import { freeBuffers } from "./free-buffers.ts";
import type { BuildAnswer, BuildOrder, BuildWorkerData } from "./build-worker.ts";

type BuiltAnswer = Extract<BuildAnswer, { readonly type: "built" }>;

/** A thread that builds one stage at a time. */
class BuildThread {
  readonly #worker: Worker;
  #settle: { resolve(answer: BuiltAnswer): void; reject(error: Error): void } | null = null;

  constructor(name: string, workerData: BuildWorkerData) {
    const { modelPath } = workerData;
    this.#worker = new Worker(new URL("./build-worker.js", import.meta.url), { name, workerData });
    this.#worker.on("message", (answer: BuildAnswer) => {
      if (answer.type === "built") this.#settle?.resolve(answer);
      else {
        const problem = answer.problem.replace(`${answer.path}: `, "");
        this.#settle?.reject(new ModelLoadError(answer.path, problem));
      }
    });
    const fail = (cause?: Error): void =>
      this.#settle?.reject(
        new ModelLoadError(modelPath, "a thread that builds its stages has ended", { cause }),
      );
    this.#worker.on("error", fail).on("exit", () => fail());
  }

  /** One at a time. */
  async build(order: BuildOrder): Promise<BuiltAnswer> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#worker.postMessage(order);
    });
  }

  async close(): Promise<void> {
    this.#settle = null;
    await this.#worker.terminate();
  }
}

/**
 * Builds parts of a model side by side, in threads of their own, and gives them in their order; each thread is at most one
 * ahead of `use`.
 * @returns whether all were written too
 * @throws ModelLoadError, and whatever `use` throws
 */
export async function buildInThreads(
  parts: readonly StagePart[],
  workerData: BuildWorkerData,
  numThreads: number,
  use: UseStage,
): Promise<boolean> {
  const threads = Array.from(
    { length: Math.min(numThreads, parts.length) },
    (_, i) => new BuildThread(`build ${i}`, workerData),
  );
  const begin = (index: number): Promise<BuiltAnswer> => {
    const answer = threads[index % threads.length]!.build({ index, part: parts[index]! });
    // One that fails before its turn is told of when that comes.
    answer.catch(() => undefined);
    return answer;
  };
  try {
    const building = threads.map((_, index) => begin(index));
    let areWritten = true;
    for (const index of parts.keys()) {
      const { model, isWritten } = await building.shift()!;
      areWritten &&= isWritten;
      const next = index + threads.length;
      if (next < parts.length) building.push(begin(next));
      // Its memory is wanted for what is loaded.
      else await threads[index % threads.length]!.close();
      await use(model, parts.length);
      freeBuffers(model.weights);
    }
    return areWritten;
  } finally {
    await Promise.all(threads.map((thread) => thread.close()));
  }
}
