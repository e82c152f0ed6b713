import { join } from "node:path";
import test from "ava";
import { ModelLoadError } from "../../../model/errors.ts";
import { readGenerationDefaults } from "../../../model/text/generation-defaults.ts";
import { openTokenizer } from "../../../model/weights/open-model.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { writeTinyGguf } from "../../helpers/tiny-gguf.ts";

function ofFolder(generationConfig: Record<string, unknown> | null) {
  return readGenerationDefaults({
    kind: "huggingface",
    path: "tokenizer.json",
    tokenizerJson: {},
    tokenizerConfig: {},
    generationConfig,
    chatTemplate: null,
  });
}

test("a folder's defaults are those of its generation_config.json", (t) => {
  t.deepEqual(ofFolder(null), {});
  t.deepEqual(ofFolder({ eos_token_id: 2, do_sample: true, top_p: null }), {});
  const values = { temperature: 0.6, top_p: 0.95, top_k: 20, min_p: 0.1, repetition_penalty: 1.05 };
  t.deepEqual(ofFolder({ do_sample: true, ...values }), {
    temperature: 0.6,
    topP: 0.95,
    topK: 20,
    minP: 0.1,
    repetitionPenalty: 1.05,
  });
});

test("a model that is not to be sampled has temperature 0", (t) => {
  t.deepEqual(ofFolder({ do_sample: false, temperature: 0.7, top_k: 5 }), {
    temperature: 0,
    topK: 5,
  });
});

test("a GGUF file's defaults are those of llama.cpp's keys, as they were meant", (t) => {
  const path = join(tempDir(t), "tiny.gguf");
  writeTinyGguf(path, {}, { "general.sampling.temp": 0.6, "general.sampling.top_k": 20n });
  t.deepEqual(readGenerationDefaults(openTokenizer(path)), { temperature: 0.6, topK: 20 });
  writeTinyGguf(path, {}, { "general.sampling.penalty_repeat": 1.1 });
  t.deepEqual(readGenerationDefaults(openTokenizer(path)), { repetitionPenalty: 1.1 });
});

test("a default that tokens cannot be drawn by is an error that names it", (t) => {
  for (const config of [{ temperature: "hot" }, { temperature: -1 }, { top_k: 1.5 }]) {
    const error = t.throws(() => ofFolder(config), { instanceOf: ModelLoadError });
    t.true(error.message.includes(Object.keys(config)[0]!), error.message);
  }
});
