/** Something to wait for when there is nothing to do. */
export class WakeUp {
  called!: Promise<void>;
  call!: () => void;

  constructor() {
    this.reset();
  }

  /** Waits for the next call; one before this counts no more. */
  reset(): void {
    this.called = new Promise((resolve) => (this.call = resolve));
  }
}
