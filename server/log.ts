export const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

export type LogFields = Readonly<Record<string, unknown>>;

/** Never given prompts, answers or keys. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/**
 * One line an event: time, level, message, then `key=value` with values as JSON, so that no value can
 * forge a line.
 */
export function createLog(level: LogLevel, write: (line: string) => void): Log {
  const threshold = logLevels.indexOf(level);
  const at = (name: Exclude<LogLevel, "silent">) => {
    if (logLevels.indexOf(name) < threshold) return () => undefined;
    return (message: string, fields: LogFields = {}) => {
      const pairs = Object.entries(fields).map(
        ([key, value]) => ` ${key}=${JSON.stringify(value)}`,
      );
      write(`${new Date().toISOString()} ${name.padEnd(5)} ${message}${pairs.join("")}\n`);
    };
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
