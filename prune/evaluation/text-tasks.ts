import { join } from "node:path";
import { z } from "zod";
import type { CorpusEncoder } from "../corpus-encoder.ts";
import { readCorpusFile, splitCorpus } from "../corpus.ts";
import type { CorpusRow } from "../corpus.ts";
import type { ScoredSequence } from "./scoring-batches.ts";
import { readRows } from "./task-rows.ts";
import type { RowsOptions } from "./task-rows.ts";

/** A task whose perplexity is measured. */
export interface TextTask {
  readonly name: string;
  /** In the data folder. */
  readonly fileNames: readonly string[];
  /** Prompts with the answers of the data set, or running text. @throws EvaluationError, CorpusError */
  readTexts(options: RowsOptions): CorpusRow[];
}

const gsm8kRow = z.object({ question: z.string(), answer: z.string() });
const mbppRow = z.object({ text: z.string(), code: z.string(), test_list: z.array(z.string()) });
const alpacaRow = z.object({ prompt: z.string(), response: z.string() });
const lineRow = z.object({ text: z.string() });

/** Enough lines of Wikipedia, many of them blank, for a window of text. */
const linesPerWindow = 20;

/**
 * Part of the answered chats that is kept for evaluation, as their evaluation file has no answers: a
 * calibration on `chat.calib.jsonl` takes the other side of `splitCorpus` at this share.
 */
export const heldOutChatShare = 0.3;

export const textTasks: readonly TextTask[] = [
  {
    name: "gsm8k",
    fileNames: ["gsm8k.eval.jsonl"],
    readTexts: (options) =>
      readRows("gsm8k.eval.jsonl", gsm8kRow, options).map(({ question, answer }) =>
        // The marks <<3*4=12>> are there for a calculator.
        answeredRow(question, answer.replace(/<<[^>]*>>/g, "")),
      ),
  },
  {
    name: "code",
    fileNames: ["mbpp.eval.jsonl", "codealpaca.eval.jsonl"],
    readTexts: ({ dataDir, maxRows }) => {
      const half = { dataDir, maxRows: Math.ceil(maxRows / 2) };
      const mbpp = readRows("mbpp.eval.jsonl", mbppRow, half).map(({ text, code, test_list }) =>
        answeredRow(
          `You are an expert Python programmer, and here is your task: ${text} ` +
            `Your code should pass these tests:\n\n${test_list.join("\n")}`,
          code.replaceAll("\r\n", "\n").trimEnd(),
        ),
      );
      const rest = { dataDir, maxRows: maxRows - mbpp.length };
      const alpaca = readRows("codealpaca.eval.jsonl", alpacaRow, rest);
      return [...mbpp, ...alpaca.map(({ prompt, response }) => answeredRow(prompt, response))];
    },
  },
  {
    name: "chat",
    fileNames: ["chat.calib.jsonl"],
    readTexts: ({ dataDir, maxRows }) => {
      const rows = readCorpusFile(join(dataDir, "chat.calib.jsonl"));
      return splitCorpus(rows, heldOutChatShare)
        .heldOut.filter((row) => row.kind === "text" || row.messages.at(-1)?.role === "assistant")
        .slice(0, maxRows);
    },
  },
  {
    name: "wikitext2",
    fileNames: ["wikitext2.eval.jsonl"],
    readTexts: ({ dataDir, maxRows }) => {
      const numLines = { dataDir, maxRows: maxRows * linesPerWindow };
      const lines = readRows("wikitext2.eval.jsonl", lineRow, numLines);
      return [{ kind: "text", text: lines.map(({ text }) => text).join("") }];
    },
  },
];

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
