import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { ArtifactStore } from "../../../model/experts/artifact-store.ts";
import type { Writer } from "../../../prune/tasks/calibration-text.ts";
import { KeptAnswers } from "../../../prune/tasks/kept-answers.ts";
import { tempDir } from "../../helpers/temp-dir.ts";

function countingWriter() {
  const asked: number[] = [];
  const writer: Writer = {
    write: (_prompt, maxTokens, seed) => {
      asked.push(seed);
      return Promise.resolve(Uint32Array.of(seed, maxTokens));
    },
  };
  return { asked, writer };
}

const prompt = Uint32Array.of(1, 2);

test("what was saved is not written again by the next run of the same corpus", async (t) => {
  const store = new ArtifactStore(tempDir(t));
  const { asked, writer } = countingWriter();
  const first = new KeptAnswers(writer, store, "corpus");
  t.deepEqual(await first.write(prompt, 5, 7), Uint32Array.of(7, 5));
  await first.write(prompt, 5, 8);
  await first.save();
  await first.save();
  const second = new KeptAnswers(writer, store, "corpus");
  t.deepEqual(await second.write(prompt, 5, 7), Uint32Array.of(7, 5));
  t.deepEqual(asked, [7, 8]);
  await second.write(prompt, 6, 7);
  await new KeptAnswers(writer, store, "other").write(prompt, 5, 7);
  t.deepEqual(asked, [7, 8, 7, 7]);
  t.is((await store.keys()).length, 1);
});

test("damaged answers are written again", async (t) => {
  const dir = tempDir(t);
  const store = new ArtifactStore(dir);
  const { asked, writer } = countingWriter();
  const first = new KeptAnswers(writer, store, "corpus");
  await first.write(prompt, 5, 7);
  await first.save();
  const [key] = readdirSync(dir).filter((name) => name.startsWith("part-answers-"));
  writeFileSync(join(dir, key!, "answers.json"), "[]");
  const second = new KeptAnswers(writer, store, "corpus");
  t.deepEqual(await second.write(prompt, 5, 7), Uint32Array.of(7, 5));
  t.deepEqual(asked, [7, 7]);
  t.deepEqual(await store.keys(), []);
});
