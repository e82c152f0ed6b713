import { join } from "node:path";
import { z } from "zod";
import type { CorpusEncoder } from "./corpus-encoder.ts";
import { readCorpusFile, splitCorpus } from "./corpus.ts";
import type { CorpusRow } from "./corpus.ts";
import type { ScoredSequence } from "../scoring/scoring-batches.ts";
import { readRows } from "./task-rows.ts";
import type { RowsOptions } from "./task-rows.ts";

/** A task whose perplexity is measured. */
export interface TextTask {
  readonly name: string;
  /** In the data folder: rows to evaluate with. */
  readonly fileNames: readonly string[];
  /** In the data folder: rows to calibrate with. */
  readonly corpusNames: readonly string[];
  /** Prompts with the answers of the data set, or running text. @throws EvaluationError, CorpusError */
  readTexts(options: RowsOptions): CorpusRow[];
  /** The same of the rows to calibrate with. @throws EvaluationError, CorpusError */
  readCorpus(options: RowsOptions): CorpusRow[];
}

const gsm8kRow = z.object({ question: z.string(), answer: z.string() });
const mbppRow = z.object({ text: z.string(), code: z.string(), test_list: z.array(z.string()) });
const alpacaRow = z.object({ prompt: z.string(), response: z.string() });
const lineRow = z.object({ text: z.string() });

/** Has no answers in its evaluation file. */
const chatFile = "chat.calib.jsonl";

/** Enough lines of Wikipedia, many of them blank, for a window of text. */
const linesPerWindow = 20;

/**
 * Part of the answered chats that is kept for evaluation, as their evaluation file has no answers: a
 * calibration on `chat.calib.jsonl` takes the other side of `splitCorpus` at this share.
 */
export const heldOutChatShare = 0.3;

const gsm8kRows =
  (fileName: string) =>
  (options: RowsOptions): CorpusRow[] =>
    readRows(fileName, gsm8kRow, options).map(({ question, answer }) =>
      // The marks <<3*4=12>> are there for a calculator.
      answeredRow(question, answer.replace(/<<[^>]*>>/g, "")),
    );

/** Half of each file, alternating. */
const codeRows =
  (mbppFile: string, alpacaFile: string) =>
  ({ dataDir, maxRows }: RowsOptions): CorpusRow[] => {
    const half = { dataDir, maxRows: Math.ceil(maxRows / 2) };
    const mbpp = readRows(mbppFile, mbppRow, half).map(({ text, code, test_list }) =>
      answeredRow(
        `You are an expert Python programmer, and here is your task: ${text} ` +
          `Your code should pass these tests:\n\n${test_list.join("\n")}`,
        code.replaceAll("\r\n", "\n").trimEnd(),
      ),
    );
    const rest = { dataDir, maxRows: maxRows - mbpp.length };
    const alpaca = readRows(alpacaFile, alpacaRow, rest).map(({ prompt, response }) =>
      answeredRow(prompt, response),
    );
    return alternate(mbpp, alpaca);
  };

const wikitextRows =
  (fileName: string) =>
  ({ dataDir, maxRows }: RowsOptions): CorpusRow[] => {
    const lines = readRows(fileName, lineRow, { dataDir, maxRows: maxRows * linesPerWindow });
    return [{ kind: "text", text: lines.map(({ text }) => text).join("") }];
  };

/** Answered chats of one side of the split. */
const chatRows =
  (side: "calibration" | "heldOut") =>
  ({ dataDir, maxRows }: RowsOptions): CorpusRow[] => {
    const split = splitCorpus(readCorpusFile(join(dataDir, chatFile)), heldOutChatShare);
    return split[side]
      .filter((row) => row.kind === "text" || row.messages.at(-1)?.role === "assistant")
      .slice(0, maxRows);
  };

export const textTasks: readonly TextTask[] = [
  {
    name: "gsm8k",
    fileNames: ["gsm8k.eval.jsonl"],
    corpusNames: ["gsm8k.calib.jsonl"],
    readTexts: gsm8kRows("gsm8k.eval.jsonl"),
    readCorpus: gsm8kRows("gsm8k.calib.jsonl"),
  },
  {
    name: "code",
    fileNames: ["mbpp.eval.jsonl", "codealpaca.eval.jsonl"],
    corpusNames: ["mbpp.calib.jsonl", "codealpaca.calib.jsonl"],
    readTexts: codeRows("mbpp.eval.jsonl", "codealpaca.eval.jsonl"),
    readCorpus: codeRows("mbpp.calib.jsonl", "codealpaca.calib.jsonl"),
  },
  {
    name: "chat",
    fileNames: [chatFile],
    corpusNames: [chatFile],
    readTexts: chatRows("heldOut"),
    readCorpus: chatRows("calibration"),
  },
  {
    name: "wikitext2",
    fileNames: ["wikitext2.eval.jsonl"],
    corpusNames: ["wikitext2.calib.jsonl"],
    readTexts: wikitextRows("wikitext2.eval.jsonl"),
    readCorpus: wikitextRows("wikitext2.calib.jsonl"),
  },
];

function alternate(first: readonly CorpusRow[], second: readonly CorpusRow[]): CorpusRow[] {
  const length = Math.max(first.length, second.length);
  return Array.from({ length }, (_, i) => [first[i], second[i]])
    .flat()
    .filter((row) => row !== undefined);
}

function answeredRow(prompt: string, response: string): CorpusRow {
  const messages = [
    { role: "user", content: prompt },
    { role: "assistant", content: response },
  ];
  return { kind: "chat", messages };
}

export interface TextEncoding {
  /** Longer conversations are cut off, longer texts go on in another sequence. @default 512 */
  readonly maxSequenceTokens?: number;
  /** Count the prompt's tokens too. @default false */
  readonly wholeText?: boolean;
  /** Tokens that end a turn: what a template writes after the last one does not count. */
  readonly eosTokenIds: readonly number[];
  /** Most sequences to return. */
  readonly maxRows: number;
}

/**
 * Rows as the server would put them to the model. Of a conversation the last answer counts, with the token that ends
 * it; of running text everything.
 * @throws CorpusError when the chat template refuses a conversation.
 */
export function encodeTexts(
  rows: readonly CorpusRow[],
  encoder: CorpusEncoder,
  { maxSequenceTokens = 512, wholeText = false, eosTokenIds, maxRows }: TextEncoding,
): ScoredSequence[] {
  const sequences: ScoredSequence[] = [];
  for (const { tokenIds, numPromptTokens } of encoder.encode(rows, { maxSequenceTokens })) {
    const lastEnd = tokenIds.findLastIndex((id) => eosTokenIds.includes(id));
    const length = lastEnd > numPromptTokens ? lastEnd + 1 : tokenIds.length;
    const firstScored = wholeText ? 1 : Math.max(1, numPromptTokens);
    if (firstScored < length) {
      sequences.push({ tokenIds: tokenIds.subarray(0, length), firstScored });
    }
  }
  return sequences.slice(0, maxRows);
}
