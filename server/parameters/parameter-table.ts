import { UnsupportedParameterError } from "../base/errors.ts";

type Body = Readonly<Record<string, unknown>>;

/** It would change the answer. */
export interface RefusedParameter {
  readonly kind: "refused";
  /** JSON values at which it would not. */
  readonly neutral: readonly unknown[];
  /** Further ones, by what else the body says. */
  readonly isNeutral?: (value: unknown, body: Body) => boolean;
  /** What the client may do instead. */
  readonly instead: string;
}

/** Whatever it says, the answer is the same. */
export interface IdleParameter {
  readonly kind: "idle";
  readonly reason: string;
}

/** Parameters that this server knows by name and does nothing with. */
export type ParameterTable = Readonly<Record<string, RefusedParameter | IdleParameter>>;

/** @param isNeutral says it of further values */
export function refused(
  neutral: readonly unknown[],
  instead: string,
  isNeutral?: RefusedParameter["isNeutral"],
): RefusedParameter {
  return { kind: "refused", neutral, instead, ...(isNeutral && { isNeutral }) };
}

export function idle(reason: string): IdleParameter {
  return { kind: "idle", reason };
}

/** All of these, for the same reason. */
export function allIdle(names: readonly string[], reason: string): ParameterTable {
  return Object.fromEntries(names.map((name) => [name, idle(reason)]));
}

/**
 * @param body - without null fields
 * @throws UnsupportedParameterError when ignoring a field would change the answer.
 */
export function refuseUnsupported(body: Body, table: ParameterTable): void {
  for (const [name, value] of Object.entries(body)) {
    const parameter = Object.hasOwn(table, name) ? table[name]! : null;
    if (parameter?.kind === "refused" && !isNeutral(value, body, parameter)) {
      throw new UnsupportedParameterError(name, supportedInstead(parameter));
    }
  }
}

/** What may be said instead, and what the parameter itself may be. */
export function supportedInstead({ neutral, instead }: RefusedParameter): string {
  if (neutral.length === 0) return `${instead}.`;
  const values = neutral.map((value) => JSON.stringify(value)).join(" or ");
  return `${instead}; only ${values} is accepted.`;
}

function isNeutral(value: unknown, body: Body, parameter: RefusedParameter): boolean {
  const text = JSON.stringify(value);
  return (
    parameter.neutral.some((neutral) => JSON.stringify(neutral) === text) ||
    (parameter.isNeutral?.(value, body) ?? false)
  );
}
