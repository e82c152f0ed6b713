/** What a connection may take up. */
export interface WebSocketLimits {
  readonly maxMessageBytes: number;
  /** Answers that a connection may have running. */
  readonly maxRunning: number;
  /** Unsent bytes beyond which nothing more is taken from the connection's answers. */
  readonly maxBufferedBytes: number;
  /** How long a client may read nothing while there is something to read. */
  readonly slowClientMs: number;
  /** How long a connection may have nothing running and send nothing. */
  readonly idleMs: number;
  /** Time between pings; who has not answered one by the next is gone. */
  readonly pingMs: number;
  /** In which the key must have come, where one is needed. */
  readonly authMs: number;
}

/** Those that nobody needs to change. */
export const fixedLimits = {
  maxRunning: 64,
  maxBufferedBytes: 2 ** 20,
  // Below the 60 s after which usual proxies drop a silent connection.
  pingMs: 30_000,
  authMs: 10_000,
} as const satisfies Partial<WebSocketLimits>;
