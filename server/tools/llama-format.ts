import { LlamaCallParser } from "./llama-call-parser.ts";
import type { ToolCallFormat } from "./tool-call-format.ts";

const pythonTag = "<|python_tag|>";

/** The JSON form of Llama 3.1 and later: an answer that begins like a call is one, or several. */
export const llamaFormat: ToolCallFormat = {
  name: "llama",
  starts: ["", pythonTag],
  head: (tool) => `{"name": ${JSON.stringify(tool)}, "parameters": `,
  end: "}",
  between: "; ",
  isInText: false,
  isOnePerMessage: true,
  isKnownTo: (template) =>
    /\btools\b/.test(template) &&
    (template.includes(pythonTag) ||
      /\{\\?"name\\?": function name, \\?"parameters\\?":/.test(template)),
  parser: ({ names }) => new LlamaCallParser(llamaFormat, names),
};
