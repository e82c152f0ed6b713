import test from "ava";
import { ClusterRouter } from "../../router/cluster-router.ts";
import { fitLogisticRouter } from "../../router/fit-logistic.ts";
import { createRouterMap } from "../../router/router-map.ts";
import type { RouterMap } from "../../router/router-map.ts";
import { centerAt, rowsAround } from "../helpers/feature-groups.ts";

const unit = (index: number) => Float64Array.from({ length: 3 }, (_, i) => Number(i === index));

/** In three dimensions, which are the features. */
function routerOf(clusters: readonly (readonly [task: string | null, centroid: number[]])[]) {
  return new ClusterRouter({
    model: null,
    projection: { center: new Float64Array(3), matrix: [unit(0), unit(1), unit(2)] },
    clusters: clusters.map(([task, centroid]) => ({ task, centroid: Float64Array.from(centroid) })),
    temperature: 1,
    threshold: Infinity,
  });
}

const mapOf = (router: ClusterRouter) => createRouterMap(router) as RouterMap;

test("the map looks from where the tasks' clusters lie farthest apart, whatever lies elsewhere", (t) => {
  const router = routerOf([
    ["code", [0, -3, 1]],
    ["code", [0, -3, -1]],
    ["math", [0, 3, 1]],
    ["math", [0, 3, -1]],
    [null, [50, 0, 0]],
  ]);
  const map = mapOf(router);
  const distance = (a: number, b: number) =>
    Math.hypot(
      ...[0, 1].map((axis) => map.clusters[a]!.position[axis]! - map.clusters[b]!.position[axis]!),
    );
  t.true(Math.abs(distance(0, 2) - 6) < 1e-9);
  t.true(Math.abs(distance(0, 1) - 2) < 1e-9);
  t.true(Math.abs(Math.hypot(...map.clusters[4]!.position)) < 1e-9);
  t.true(Math.abs(map.share - 1) < 1e-9);
  t.deepEqual(
    map.clusters.map(({ task }) => task),
    ["code", "code", "math", "math", null],
  );
});

test("a prompt in the middle of a cluster is where the cluster is", (t) => {
  const router = routerOf([
    ["chat", [1, 2, 0]],
    ["code", [-4, 2, 5]],
    ["math", [0, 3, -1]],
  ]);
  const map = mapOf(router);
  const { place } = router.route(Float32Array.of(-4, 2, 5));
  t.deepEqual(map.position(place!), map.clusters[1]!.position);
});

test("of what lies apart in more directions, the share that is to be seen is told", (t) => {
  const map = mapOf(
    routerOf([
      ["a", [2, 0, 0]],
      ["a", [-2, 0, 0]],
      ["b", [0, 2, 0]],
      ["b", [0, -2, 0]],
      ["c", [0, 0, 1]],
      ["c", [0, 0, -1]],
    ]),
  );
  t.true(Math.abs(map.share - 16 / 18) < 1e-9);
});

test("one task alone has a map, and a router without a space has none", (t) => {
  const map = mapOf(routerOf([["only", [1, 1, 1]]]));
  t.deepEqual(map.clusters, [{ task: "only", position: [0, 0] }]);
  t.is(map.share, 1);
  const ofEmbeddings = new Map([
    ["math", rowsAround(centerAt(0), 20)],
    ["code", rowsAround(centerAt(1), 20)],
  ]);
  t.is(createRouterMap(fitLogisticRouter({ tasks: ofEmbeddings }, { model: null })), null);
});
