interface Job {
  readonly run: () => Promise<unknown>;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Lets jobs in between the steps of the engine's loop, one after each: a job blocks the thread, and so all sequences
 * that run. It is open, and lets everything through at once, while nobody takes steps.
 */
export class Turnstile {
  readonly #onJob: () => void;
  readonly #jobs: Job[] = [];
  #isOpen = true;

  /** @param onJob called when a job waits: `next` is due */
  constructor(onJob: () => void) {
    this.#onJob = onJob;
  }

  get hasJobs(): boolean {
    return this.#jobs.length > 0;
  }

  /** Settles as the job does, once its turn has come. */
  run<Result>(job: () => Promise<Result>): Promise<Result> {
    if (this.#isOpen) return job();
    return new Promise<unknown>((resolve, reject) => {
      this.#jobs.push({ run: job, resolve, reject });
      this.#onJob();
    }) as Promise<Result>;
  }

  /** Runs the job that has waited longest, if there is one. Never rejects. */
  async next(): Promise<void> {
    const job = this.#jobs.shift();
    if (job) await job.run().then(job.resolve, job.reject);
  }

  /** From now on jobs wait for `next`. */
  close(): void {
    this.#isOpen = false;
  }

  /** Lets those that wait and all later ones through. */
  async open(): Promise<void> {
    this.#isOpen = true;
    while (this.hasJobs) await this.next();
  }
}
