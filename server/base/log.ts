export const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

export const logFormats = ["text", "json"] as const;
export type LogFormat = (typeof logFormats)[number];

export type LogFields = Readonly<Record<string, unknown>>;

/** Never given prompts, answers or keys. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same log, with these fields in each line. */
  with(fields: LogFields): Log;
}

/**
 * One line an event. As text: time, level, message, then `key=value` with values as JSON, so that no value can forge a
 * line. As JSON: one object with `time`, `level`, `message` and the fields. What is undefined is left out.
 */
export function createLog(
  level: LogLevel,
  write: (line: string) => void,
  format: LogFormat = "text",
): Log {
  return withFields({ threshold: logLevels.indexOf(level), write, spell: spellings[format] }, {});
}

type Spelling = (level: string, message: string, fields: LogFields) => string;

const spellings: Readonly<Record<LogFormat, Spelling>> = {
  text(level, message, fields) {
    const pairs = Object.entries(fields).flatMap(([key, value]) =>
      value === undefined ? [] : [` ${key}=${JSON.stringify(value)}`],
    );
    return `${new Date().toISOString()} ${level.padEnd(5)} ${message}${pairs.join("")}\n`;
  },
  json(level, message, fields) {
    return `${JSON.stringify({ time: new Date().toISOString(), level, message, ...fields })}\n`;
  },
};

interface LogTarget {
  /** Index of the least level that is written. */
  readonly threshold: number;
  readonly write: (line: string) => void;
  readonly spell: Spelling;
}

function withFields(target: LogTarget, common: LogFields): Log {
  const { threshold, write, spell } = target;
  const at = (name: Exclude<LogLevel, "silent">) => {
    if (logLevels.indexOf(name) < threshold) return () => undefined;
    return (message: string, fields: LogFields = {}) =>
      write(spell(name, message, { ...fields, ...common }));
  };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    with: (fields) => withFields(target, { ...common, ...fields }),
  };
}
