import { setImmediate } from "node:timers/promises";
import type { MessagePort } from "node:worker_threads";

import { SeapError } from "../../model/errors.ts";
import type { PromptRouter } from "../../router/prompt-router.ts";
import { messageOf } from "../contract/request-failure.ts";
import type { ExpertService } from "../experts/expert-service.ts";
import type { EngineLoop } from "../run/engine-loop.ts";
import type { MemoryReport } from "../run/memory-report.ts";
import type { ModelRunner } from "../run/model-runner.ts";
import type { WakeUp } from "./wake-up.ts";
import type { FromWorker, ToWorker } from "./worker-protocol.ts";

/** What a router must fit. */
export interface RoutedModel {
  readonly contentHash: string;
  readonly hiddenSize: number;
}

/** Reads a router's file. @throws SeapError when it is no router, or not one of the model. */
export type OpenRouter = (path: string, model: RoutedModel) => PromptRouter;

/** An engine that is ready to answer. */
export interface LoadedEngine {
  readonly runner: ModelRunner;
  readonly loop: EngineLoop;
  readonly experts: ExpertService | null;
  readonly wakeUp: WakeUp;
  readonly memory: MemoryReport;
  readonly model: RoutedModel;
}

export interface EngineServerOptions {
  /** To the other side. */
  readonly port: MessagePort;
  readonly openRouter: OpenRouter;
  /** Told of errors that nobody expects. */
  readonly onProblem: (error: unknown) => void;
}

/** Does what the other side says, and the work that comes of it. */
export class EngineServer {
  readonly #engine: LoadedEngine;
  readonly #options: EngineServerOptions;
  #isClosing = false;

  constructor(engine: LoadedEngine, options: EngineServerOptions) {
    this.#engine = engine;
    this.#options = options;
  }

  /** Settles when the other side has said that the engine is to be closed, and it is. */
  async run(): Promise<void> {
    const { loop, runner, experts, wakeUp } = this.#engine;
    const { port, onProblem } = this.#options;
    port.on("message", (message: ToWorker) => {
      try {
        this.#receive(message);
      } catch (error) {
        onProblem(error);
      }
      wakeUp.call();
    });
    port.on("messageerror", onProblem);
    this.#tellMemory();
    this.#send({ type: "ready" });
    experts?.turnstile.close();
    while (!this.#isClosing) {
      wakeUp.reset();
      if (loop.hasWork) await loop.step();
      else if (!experts?.turnstile.hasJobs && experts?.shadow.hasWork) await experts.shadow.step();
      await experts?.turnstile.next();
      this.#tellMemory();
      const isIdle = !loop.hasWork && !experts?.turnstile.hasJobs && !experts?.shadow.hasWork;
      if (isIdle) await wakeUp.called;
      // Lets messages in between two steps, also when a step had nothing to run.
      else await setImmediate();
    }
    loop.abandon();
    await experts?.close();
    await runner.dispose();
    port.close();
  }

  #receive(message: ToWorker): void {
    const { loop, experts } = this.#engine;
    switch (message.type) {
      case "generate":
        return loop.add(message.request);
      case "cancel":
        return loop.cancel(message.id);
      case "use_router":
        return this.#useRouter(message.path);
      case "command_expert":
        return experts ? experts.receive(message) : this.#refuse(message.id);
      case "build_progress":
      case "builder_done":
      case "builder_failed":
        return experts?.receive(message);
      case "ping":
        return this.#send({ type: "pong" });
      case "close":
        this.#isClosing = true;
    }
  }

  #useRouter(path: string): void {
    const { openRouter, onProblem } = this.#options;
    try {
      this.#engine.loop.useRouter(openRouter(path, this.#engine.model));
      this.#send({ type: "router_used" });
    } catch (error) {
      if (!(error instanceof SeapError)) onProblem(error);
      this.#send({ type: "router_failed", message: messageOf(error) });
    }
  }

  #refuse(id: number): void {
    const message = "This engine was started without experts.";
    this.#send({ type: "expert_refused", id, message });
  }

  #tellMemory(): void {
    const memory = this.#engine.memory.takeChange();
    if (memory) this.#send({ type: "memory", memory });
  }

  #send(message: FromWorker): void {
    this.#options.port.postMessage(message);
  }
}
