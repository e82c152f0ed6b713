import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { physicalCores } from "../../../server/config/physical-cores.ts";

function fakeSystem(t: ExecutionContext, siblings: readonly string[], cpuMax?: string): string {
  const folder = mkdtempSync(join(tmpdir(), "seap-cores-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  for (const [cpu, list] of siblings.entries()) {
    const topology = join(folder, `devices/system/cpu/cpu${cpu}/topology`);
    mkdirSync(topology, { recursive: true });
    writeFileSync(join(topology, "thread_siblings_list"), `${list}\n`);
  }
  if (cpuMax !== undefined) {
    mkdirSync(join(folder, "fs/cgroup"), { recursive: true });
    writeFileSync(join(folder, "fs/cgroup/cpu.max"), cpuMax);
  }
  return folder;
}

test("threads of one core count once", (t) => {
  t.is(physicalCores(fakeSystem(t, ["0-1", "0-1"])), 1);
});

test("a container's limit counts, rounded up", (t) => {
  t.is(physicalCores(fakeSystem(t, ["0", "1"], "50000 100000\n")), 1);
  t.is(
    physicalCores(fakeSystem(t, ["0", "1"], "max 100000\n")),
    Math.min(2, availableParallelism()),
  );
});

test("where nothing is known all hardware threads count", (t) => {
  t.is(physicalCores(fakeSystem(t, [])), availableParallelism());
});
