import { fileURLToPath } from "node:url";

/** A task that a fresh install can build an expert for. */
export interface BuiltinTask {
  /** As used in commands, in model names and as a metric label. */
  readonly name: string;
  /** What belongs to the task, in one line. */
  readonly description: string;
  /** A JSONL file of prompts without responses, which the dense model writes at calibration time. */
  readonly corpusPath: string;
}

const descriptions = {
  chat: "everyday conversation, advice, role play and creative writing",
  code: "writing, explaining, converting, testing and repairing programs",
  math: "word problems, calculations, algebra, geometry, probability and proofs",
  knowledge: "questions of fact and exam questions without a given text",
  reading: "questions about a given passage",
  summarization: "shortening a given text",
  translation: "translation between languages",
  extraction: "turning a given text into JSON: entities, fields, function arguments",
};

// From dist/prune/ as compiled; the corpora are not copied there.
const folder = new URL("../../../prune/tasks/", import.meta.url);

export const builtinTasks: readonly BuiltinTask[] = Object.entries(descriptions).map(
  ([name, description]) => ({
    name,
    description,
    corpusPath: fileURLToPath(new URL(`${name}.jsonl`, folder)),
  }),
);
