import test from "ava";
import { parseMetrics, quantile } from "../../../server/page/metrics-text.ts";

const page = (counts: readonly number[]) =>
  parseMetrics(`# HELP wait_seconds Waiting.
# TYPE wait_seconds histogram
wait_seconds_bucket{le="0.1"} ${counts[0]!}
wait_seconds_bucket{le="0.3"} ${counts[1]!}
wait_seconds_bucket{le="+Inf"} ${counts[2]!}
wait_seconds_sum 3.5
wait_seconds_count ${counts[2]!}
other{a="b c"} 1.5e3
`);

test("samples are read by their names and labels", (t) => {
  const samples = page([1, 2, 3]);
  t.is(samples.size, 6);
  t.is(samples.get("wait_seconds_count"), 3);
  t.is(samples.get('other{a="b c"}'), 1500);
  t.is(samples.get("missing"), undefined);
});

test("a quantile lies within its bucket, as far in as values were counted", (t) => {
  t.is(quantile("wait_seconds", 0.5, { to: page([0, 4, 4]) }), 0.2);
  t.is(quantile("wait_seconds", 0.5, { to: page([8, 8, 8]) }), 0.05);
  t.is(quantile("wait_seconds", 0.5, { to: page([0, 0, 8]) }), 0.3);
});

test("a quantile between two scrapes is of what came between them", (t) => {
  const [from, to] = [page([100, 100, 100]), page([100, 104, 104])];
  t.is(quantile("wait_seconds", 0.5, { from, to }), 0.2);
  t.is(quantile("wait_seconds", 0.5, { from, to: from }), null);
  t.is(quantile("absent", 0.5, { to }), null);
});
