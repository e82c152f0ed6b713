/** Place in a trace that other programs have a part in, as W3C Trace Context has it. */
export interface TraceContext {
  /** 32 hex digits. */
  readonly traceId: string;
  /** 16 hex digits. */
  readonly spanId: string;
  /** Whether somebody records the trace. */
  readonly isSampled: boolean;
}

/**
 * Reads a `traceparent` header. Of versions to come it reads what the first one has.
 * @returns null where there is none, or none that is valid: the trace then begins here
 */
export function parseTraceparent(header: string | undefined): TraceContext | null {
  const match = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(
    header ?? "",
  );
  if (match === null) return null;
  const [, version, traceId, spanId, flags, more] = match as unknown as readonly string[];
  const isOfVersion = version === "00" ? more === undefined : version !== "ff";
  if (!isOfVersion || /^0+$/.test(traceId!) || /^0+$/.test(spanId!)) return null;
  return { traceId: traceId!, spanId: spanId!, isSampled: (parseInt(flags!, 16) & 1) === 1 };
}

export function formatTraceparent({ traceId, spanId, isSampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${isSampled ? "01" : "00"}`;
}
