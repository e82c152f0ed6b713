import { performance } from "node:perf_hooks";

import { SeapError } from "../../model/errors.ts";
import type { CommandMessage, FromExperts, ToExperts } from "../contract/expert-messages.ts";
import type { Device, Stage } from "../device/device.ts";
import { ExpertLoader, type MiddleHolder } from "./expert-loader.ts";
import { ExpertPool } from "./expert-pool.ts";
import type { ExpertOptions } from "../contract/experts.ts";
import { RemoteBuilder } from "./remote-builder.ts";
import { ShadowCheck, type TextScorer } from "./shadow-check.ts";
import { StepTimer } from "./step-timer.ts";
import { Turnstile } from "./turnstile.ts";

export interface ExpertServiceOptions {
  readonly experts: ExpertOptions;
  readonly device: Device;
  readonly runner: MiddleHolder & TextScorer;
  /** The unpruned model. */
  readonly stages: { readonly trunk: Stage; readonly middle: readonly Stage[] };
  readonly vocabSize: number;
  /** KV memory that no sequence needs now. */
  readonly freeKvBytes: () => number;
  readonly send: (message: FromExperts) => void;
  /** One line for a person. */
  readonly log: (line: string) => void;
  /** Told of errors that nobody expects. */
  readonly onProblem: (error: unknown) => void;
  /** Called when something waits at the turnstile. */
  readonly onWork: () => void;
}

/** The longest delay of a timer of Node. */
const longestMs = 2 ** 31 - 1;

/** Everything about experts in the engine's thread, put together. */
export class ExpertService {
  readonly pool: ExpertPool;
  readonly turnstile: Turnstile;
  readonly shadow: ShadowCheck;
  readonly #builder: RemoteBuilder;
  readonly #loader: ExpertLoader;
  readonly #send: (message: FromExperts) => void;
  readonly #onProblem: (error: unknown) => void;

  private constructor(options: ExpertServiceOptions, parts: Parts) {
    const { experts, runner, stages, vocabSize, freeKvBytes, send, log, onProblem } = options;
    const { turnstile, timer, denseCost } = parts;
    this.#send = send;
    this.#onProblem = onProblem;
    this.turnstile = turnstile;
    this.shadow = new ShadowCheck({
      ...{ runner, vocabSize, freeKvBytes, log },
      share: experts.shadow.share,
      record: (name, record) => this.pool.recordShadow(name, record),
    });
    this.#builder = new RemoteBuilder(send);
    this.#loader = new ExpertLoader({
      ...{ device: options.device, runner, timer, turnstile },
      onRelease: (name) => this.shadow.forget(name),
    });
    this.pool = new ExpertPool({
      ...{ options: experts, builder: this.#builder, device: this.#loader, denseCost, log },
      denseBytes: stages.middle.reduce((sum, { weightBytes }) => sum + weightBytes, 0),
      nowMs: () => Date.now(),
      setTimer: (callback, delayMs) => {
        const timeout = setTimeout(callback, Math.min(delayMs, longestMs));
        return () => clearTimeout(timeout);
      },
      onChange: (snapshots) => send({ type: "experts", snapshots }),
    });
  }

  /**
   * Measures the dense middle and looks for experts on disk.
   * @throws ExpertCommandError when one that is to be preloaded does not exist
   */
  static async start(options: ExpertServiceOptions): Promise<ExpertService> {
    const { device, stages, onWork } = options;
    const turnstile = new Turnstile(onWork);
    const now = () => performance.now();
    const timer = new StepTimer({ device, trunk: stages.trunk, turnstile, now });
    const denseCost = await timer.measure(stages.middle);
    return new ExpertService(options, { turnstile, timer, denseCost });
  }

  receive(message: ToExperts): void {
    if (message.type === "command_expert") void this.#command(message);
    else this.#builder.receive(message);
  }

  /** Gives up what is being built and loaded, and frees all memory, once no sequence is left. */
  async close(): Promise<void> {
    const closed = this.pool.close();
    this.#builder.close();
    this.#loader.close();
    await this.turnstile.open();
    await closed;
  }

  async #command({ id, name, command }: CommandMessage): Promise<void> {
    try {
      const snapshot = await this.pool.command(name, command);
      this.#send({ type: "expert_commanded", id, snapshot });
    } catch (error) {
      const isExpected = error instanceof SeapError;
      if (!isExpected) this.#onProblem(error);
      const message = isExpected ? error.message : `${command} failed: the log says why.`;
      this.#send({ type: "expert_refused", id, message });
    }
  }
}

interface Parts {
  readonly turnstile: Turnstile;
  readonly timer: StepTimer;
  readonly denseCost: Awaited<ReturnType<StepTimer["measure"]>>;
}
