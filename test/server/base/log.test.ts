import test from "ava";
import { createLog } from "../../../server/base/log.ts";

test("a line of text has time, level, message and fields as JSON, so that no value forges a line", (t) => {
  const lines: string[] = [];
  const log = createLog("info", (line) => lines.push(line));
  log.warn("odd", { field: 'a"\n2026 ERROR', left: undefined, count: 2 });
  log.debug("not shown");
  t.is(lines.length, 1);
  t.regex(lines[0]!, /^\d{4}-\d\d-\d\dT[\d:.]+Z warn {2}odd field="a\\"\\n2026 ERROR" count=2\n$/);
});

test("a line of JSON is one object", (t) => {
  const lines: string[] = [];
  const log = createLog("debug", (line) => lines.push(line), "json");
  log.error("broken", { text: "a\nb", left: undefined });
  t.true(lines[0]!.endsWith("}\n"));
  const { time, ...rest } = JSON.parse(lines[0]!) as Record<string, unknown>;
  t.deepEqual(rest, { level: "error", message: "broken", text: "a\nb" });
  t.false(Number.isNaN(Date.parse(String(time))));
});

test("fields that a log was given are in each of its lines, after a line's own", (t) => {
  const lines: string[] = [];
  const log = createLog("debug", (line) => lines.push(line));
  const inner = log.with({ requestId: "r1" }).with({ messageId: "m" });
  inner.info("one", { status: 200 });
  log.info("two");
  t.regex(lines[0]!, /one status=200 requestId="r1" messageId="m"\n$/);
  t.regex(lines[1]!, /two\n$/);
});
