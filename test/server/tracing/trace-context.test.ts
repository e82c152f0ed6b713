import test from "ava";
import fc from "fast-check";
import { formatTraceparent, parseTraceparent } from "../../../server/tracing/trace-context.ts";

const [traceId, spanId] = ["0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"];

test("a traceparent is read, and written as it was", (t) => {
  const header = `00-${traceId}-${spanId}-01`;
  t.deepEqual(parseTraceparent(header), { traceId, spanId, isSampled: true });
  t.is(formatTraceparent(parseTraceparent(header)!), header);
  t.false(parseTraceparent(`00-${traceId}-${spanId}-02`)!.isSampled);
  t.deepEqual(parseTraceparent(`cc-${traceId}-${spanId}-01-more`), {
    ...{ traceId, spanId, isSampled: true },
  });
});

test("what is no valid traceparent is none", (t) => {
  const headers = [
    undefined,
    "",
    "00",
    `00-${traceId}-${spanId}`,
    `00-${traceId}-${spanId}-01-more`,
    `ff-${traceId}-${spanId}-01`,
    `00-${"0".repeat(32)}-${spanId}-01`,
    `00-${traceId}-${"0".repeat(16)}-01`,
    `00-${traceId.toUpperCase()}-${spanId}-01`,
    ` 00-${traceId}-${spanId}-01`,
  ];
  for (const header of headers) t.is(parseTraceparent(header), null, header);
  fc.assert(fc.property(fc.string(), (header) => parseTraceparent(header) === null));
});
