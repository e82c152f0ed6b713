import type { PromptForm } from "./data-prompts.ts";

/** A task and the data sets of its prompts. */
export type TaskFiles = Readonly<Record<string, readonly string[]>>;

export interface DataSuite {
  readonly name: string;
  readonly form: PromptForm;
  readonly tasks: TaskFiles;
  /** Data sets whose prompts are of none of the tasks. */
  readonly foreign: readonly string[];
}

const paperTasks: TaskFiles = {
  arc: ["arc_challenge", "arc_easy"],
  boolq: ["boolq"],
  gsm8k: ["gsm8k"],
  hellaswag: ["hellaswag"],
  openbookqa: ["openbookqa"],
  piqa: ["piqa"],
  wikitext2: ["wikitext2"],
  winogrande: ["winogrande"],
};

const alone = (names: readonly string[]): TaskFiles =>
  Object.fromEntries(names.map((name) => [name, [name]]));

const chatSets = ["mt_bench", "ifeval", "multilingual_chat"];

/** Fitted with `<data set>.calib.jsonl` and tested with `<data set>.eval.jsonl`. */
export const dataSuites: readonly DataSuite[] = [
  { name: "paper, template", form: "template", tasks: paperTasks, foreign: chatSets },
  { name: "paper, bare", form: "bare", tasks: paperTasks, foreign: chatSets },
  {
    name: "all tasks",
    form: "template",
    tasks: {
      ...paperTasks,
      ...alone([
        "belebele",
        "chat",
        "codealpaca",
        "extraction",
        "math",
        "mbpp",
        "mgsm",
        "mmlu",
        "multilingual_chat",
        "sql",
        "summarization",
        "toolcall",
        "translation",
        "xcopa",
      ]),
    },
    foreign: [],
  },
];

/** What the built-in tasks are tested with. */
export const builtinTests: TaskFiles = {
  chat: ["chat"],
  code: ["codealpaca", "mbpp", "humaneval"],
  extraction: ["extraction", "toolcall"],
  knowledge: ["mmlu", "arc_easy", "arc_challenge", "openbookqa"],
  math: ["gsm8k", "math"],
  reading: ["boolq", "belebele"],
  summarization: ["summarization"],
  translation: ["translation"],
};

/** Chat in other languages is none of the built-in tasks, which are English. */
export const builtinForeign: readonly string[] = ["multilingual_chat"];
