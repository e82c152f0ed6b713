import test from "ava";
import { loadScript } from "./load-script.ts";

interface Lock {
  packages: Record<
    string,
    { version?: string; integrity?: string; optional?: boolean; name?: string }
  >;
}

const { staleReason } = await loadScript<{
  staleReason: (lock: Lock | undefined, installed: Lock | undefined) => string | undefined;
}>("install.mjs");

const zod = { version: "4.0.0", integrity: "sha512-a" };
const lock: Lock = { packages: { "": { name: "seap-server" }, "node_modules/zod": zod } };

test("packages are up to date when npm recorded what the lock file asks for", (t) => {
  t.is(staleReason(lock, { packages: { "node_modules/zod": zod } }), undefined);
});

test("a missing node_modules is stale", (t) => {
  t.is(staleReason(lock, undefined), "node_modules is missing");
});

test("a package that the lock file added, updated or replaced is stale", (t) => {
  t.is(staleReason(lock, { packages: {} }), "zod 4.0.0 is missing");
  const older = { ...zod, version: "3.0.0" };
  t.is(staleReason(lock, { packages: { "node_modules/zod": older } }), "zod 4.0.0 is at 3.0.0");
  const other = { ...zod, integrity: "sha512-b" };
  t.truthy(staleReason(lock, { packages: { "node_modules/zod": other } }));
});

test("an optional package for another platform may be absent, but not be out of date", (t) => {
  const optional: Lock = {
    packages: { "node_modules/fsevents": { version: "2.0.0", optional: true } },
  };
  t.is(staleReason(optional, { packages: {} }), undefined);
  t.truthy(staleReason(optional, { packages: { "node_modules/fsevents": { version: "1.0.0" } } }));
});

test("without a lock file whatever is installed is used", (t) => {
  t.is(staleReason(undefined, { packages: {} }), undefined);
});
