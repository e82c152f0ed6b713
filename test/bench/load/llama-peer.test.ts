import test from "ava";
import { LlamaPeer } from "../../../bench/load/llama-peer.ts";
import { runProgram } from "../../../bench/load/run-program.ts";
import { tempDir } from "../../helpers/temp-dir.ts";

const open = (modelPath: string, cacheDir: string, lines: string[]) =>
  LlamaPeer.open({
    ...{ modelPath, cacheDir, threads: 1, sessions: [] },
    log: (line) => void lines.push(line),
  });

test("a program that fails or is not there is told in words", async (t) => {
  t.is(await runProgram(process.execPath, ["--version"]), undefined);
  t.regex(
    (await runProgram(process.execPath, ["--eval", "throw 'why'"])) ?? "",
    /ended with 1: .*why/s,
  );
  t.regex((await runProgram("no-such-program", [])) ?? "", /ENOENT/);
});

test("a model that is no GGUF file has no llama.cpp beside it", async (t) => {
  const lines: string[] = [];
  const peer = await open(tempDir(t), tempDir(t), lines);
  t.is(await peer.like("q8"), null);
  t.deepEqual(peer.report, { problem: "it reads GGUF files alone" });
  t.deepEqual(lines, ["no comparison with llama.cpp: it reads GGUF files alone"]);
});

test.serial("without pip there is none either, and the reason is told", async (t) => {
  const path = process.env["PATH"];
  t.teardown(() => {
    process.env["PATH"] = path;
  });
  process.env["PATH"] = tempDir(t);
  const peer = await open("model.gguf", tempDir(t), []);
  t.true("problem" in peer.report && /needs pip/.test(peer.report.problem));
});
