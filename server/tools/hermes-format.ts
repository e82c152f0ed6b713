import type { ToolCallFormat } from "./tool-call-format.ts";
import { ToolCallParser } from "./tool-call-parser.ts";
import { callEnd, callHead, callStart } from "./tool-call-text.ts";

/** The convention of Hermes and Qwen models. */
export const hermesFormat: ToolCallFormat = {
  name: "hermes",
  starts: [callStart],
  head: callHead,
  end: callEnd,
  between: "\n",
  isInText: true,
  isOnePerMessage: false,
  /** Qwen's coders write calls in another way inside the same tags. */
  isKnownTo: (template) =>
    /\btools\b/.test(template) && template.includes(callStart) && !template.includes("<function="),
  parser: ({ isFormed, isForced, isParallel, names }) =>
    new ToolCallParser({ isFormed, isParallel, names: isForced ? [] : names }),
};
