// What an editor's assistant on chat completions sends, in the shape of Continue: written here.

const filepath = { type: "string", description: "Relative to the workspace" };
const tool = (name, description, parameters) => ({
  type: "function",
  displayTitle: name,
  readonly: true,
  group: "Built-In",
  function: { name, description, parameters },
});

const draft7 = "http://json-schema.org/draft-07/schema#";
const tools = [
  tool("read_file", "Reads a file.", {
    type: "object",
    required: ["filepath"],
    properties: { filepath },
  }),
  tool("create_new_file", "Creates a file.", {
    type: "object",
    required: ["filepath", "contents"],
    properties: { filepath, contents: { type: "string" } },
  }),
  tool("view_diff", "Shows the changes.", { type: "object", properties: {} }),
  tool("ls", "Lists files.", {
    type: "object",
    properties: {
      dirPath: { type: "string" },
      recursive: { type: "boolean", default: false },
    },
  }),
  tool("multi_edit", "Edits a file.", {
    $schema: draft7,
    type: "object",
    required: ["filepath", "edits"],
    properties: {
      filepath,
      edits: {
        type: "array",
        minItems: 1,
        items: {
          type: "object",
          required: ["old_string", "new_string"],
          properties: {
            old_string: { type: "string" },
            new_string: { type: "string" },
            replace_all: { type: "boolean" },
          },
        },
      },
    },
  }),
  // Of tool servers, whose schemas nobody wrote by hand.
  tool("puppeteer_click", "Clicks.", {
    $schema: draft7,
    $id: "https://example.org/click.json",
    type: "object",
    definitions: { selector: { type: "string", minLength: 1, maxLength: 200 } },
    properties: {
      selector: { $ref: "#/definitions/selector" },
      button: { type: "string", enum: ["left", "right"], default: "left" },
      position: {
        type: "array",
        items: [{ type: "number" }, { type: "number" }],
        additionalItems: false,
      },
      delay: { type: "integer", minimum: 0, maximum: 10_000, multipleOf: 10 },
      url: { type: "string", format: "uri" },
      headers: {
        type: "object",
        additionalProperties: { type: "string" },
        propertyNames: { type: "string" },
      },
      options: { type: ["object", "null"], properties: { force: { type: "boolean" } } },
    },
    required: ["selector"],
    additionalProperties: false,
  }),
];

export const continueChat = {
  model: "tiny",
  messages: [
    { role: "system", content: "You are in chat mode. Answer briefly." },
    {
      role: "user",
      content: [
        { type: "text", text: "```a.py\nprint(1)\n```" },
        { type: "text", text: "What does it do?" },
      ],
    },
  ],
  temperature: 0.5,
  top_p: 1,
  presence_penalty: 0,
  frequency_penalty: 0,
  max_tokens: 40,
  stream: true,
  stream_options: { include_usage: true },
  stop: [
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "USER:",
    "\n\n\n",
    "```\n",
    "/src/",
    "#- coding",
  ],
};

export const continueAgent = {
  ...continueChat,
  messages: [
    ...continueChat.messages,
    {
      role: "assistant",
      content: "",
      tool_calls: [
        { id: "call_1", type: "function", function: { name: "ls", arguments: '{"dirPath":"."}' } },
        { id: "call_2", type: "function", function: { name: "view_diff", arguments: "" } },
      ],
    },
    { role: "tool", tool_call_id: "call_1", content: "a.py" },
    { role: "tool", tool_call_id: "call_2", content: "" },
    { role: "user", content: "Go on." },
  ],
  tools,
  tool_choice: "auto",
  parallel_tool_calls: false,
};

/** Of the code before the cursor. */
export const continueAutocomplete = {
  model: "tiny",
  prompt: "# Path: a.py\ndef add(a, b):\n    ",
  max_tokens: 24,
  temperature: 0.01,
  stream: true,
  stop: [
    "<fim_prefix>",
    "<fim_suffix>",
    "<fim_middle>",
    "<|endoftext|>",
    "/src/",
    "\n\n",
    "\r\n\r\n",
    "```",
    "\ndef",
    '\n"""#',
  ],
};
