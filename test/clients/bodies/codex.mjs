// What a coding agent on the Responses API sends, in the shape of Codex: written here, with its fields and item types.

const string = (description) => ({ type: "string", description });

const shell = {
  type: "function",
  name: "shell",
  description: "Runs a command and returns what it prints.",
  strict: false,
  parameters: {
    type: "object",
    properties: {
      command: { type: "array", items: { type: "string" }, description: "The command to execute" },
      workdir: string("Where to run it"),
      timeout_ms: { type: "number", description: "When to end it, in milliseconds" },
      with_escalated_permissions: { type: "boolean", description: "Whether to ask for more" },
      justification: string("Why, in a sentence"),
    },
    required: ["command"],
    additionalProperties: false,
  },
};
const updatePlan = {
  type: "function",
  name: "update_plan",
  description: "Updates the task plan.",
  strict: false,
  parameters: {
    type: "object",
    properties: {
      explanation: { type: "string" },
      plan: {
        type: "array",
        description: "The list of steps",
        items: {
          type: "object",
          properties: { step: { type: "string" }, status: string("pending or completed") },
          required: ["step", "status"],
          additionalProperties: false,
        },
      },
    },
    required: ["plan"],
    additionalProperties: false,
  },
};
const applyPatch = {
  type: "custom",
  name: "apply_patch",
  description: "Edits files.",
  format: {
    type: "grammar",
    syntax: "lark",
    definition:
      'start: "*** Begin Patch" LF hunk+ "*** End Patch" LF?\nhunk: /[^*].*/ LF\nLF: "\\n"',
  },
};
const issueSearch = {
  type: "function",
  name: "mcp__tracker__search_issues",
  description: "Searches issues.",
  strict: false,
  parameters: {
    $schema: "http://json-schema.org/draft-07/schema#",
    type: "object",
    properties: {
      query: { type: "string", minLength: 1, maxLength: 256 },
      page: { type: "integer", exclusiveMinimum: 0, default: 1 },
      labels: { type: "array", items: { type: "string" }, uniqueItems: true },
      since: { type: "string", format: "date-time" },
      order: { anyOf: [{ type: "string", enum: ["asc", "desc"] }, { type: "null" }] },
      range: { type: "array", items: [{ type: "integer" }, { type: "integer" }], maxItems: 2 },
      fields: { type: "object", additionalProperties: { type: "string" } },
    },
    required: ["query"],
  },
};
const resources = {
  type: "function",
  name: "list_mcp_resources",
  description: "Lists resources.",
  strict: false,
  parameters: { type: "object", properties: {}, additionalProperties: false },
};
const viewImage = {
  type: "function",
  name: "view_image",
  description: "Attaches a picture.",
  strict: false,
  parameters: {
    type: "object",
    properties: { path: string("Of the file") },
    required: ["path"],
    additionalProperties: false,
  },
};

const message = (role, text) => ({
  type: "message",
  role,
  content: [{ type: "input_text", text }],
});

const instructions = `You are a coding agent in a terminal. ${"Be precise, safe and helpful. ".repeat(120)}`;

/** The first request of a session; an agent's own bodies have no limit of tokens. */
export const codexFirst = {
  model: "tiny",
  instructions,
  input: [
    message("developer", "<permissions>Commands may read anything.</permissions>"),
    message("user", "<environment_context>\n  <cwd>/home/me</cwd>\n</environment_context>"),
    message("user", "Why does the test fail?"),
  ],
  tools: [
    shell,
    updatePlan,
    resources,
    viewImage,
    issueSearch,
    applyPatch,
    { type: "web_search", external_web_access: false },
    { type: "local_shell" },
    {
      type: "mcp",
      server_label: "docs",
      server_url: "http://127.0.0.1:1/",
      require_approval: "never",
    },
    { type: "namespace", name: "mcp__files", description: "Files", tools: [viewImage] },
  ],
  tool_choice: "auto",
  parallel_tool_calls: false,
  reasoning: { effort: "medium", summary: "auto" },
  store: false,
  stream: true,
  include: ["reasoning.encrypted_content"],
  prompt_cache_key: "0197c1f5-6a43-7bb1-9f0a-6c7c7b0a3f5e",
  text: { verbosity: "medium" },
  client_metadata: { "x-codex-installation-id": "one" },
};

/** A later one: with what was thought, called and answered before, part of it by another model. */
export const codexLater = {
  ...codexFirst,
  parallel_tool_calls: true,
  input: [
    ...codexFirst.input,
    {
      type: "reasoning",
      summary: [{ type: "summary_text", text: "Look." }],
      encrypted_content: "Zm9v",
    },
    { type: "message", role: "assistant", content: [{ type: "output_text", text: "I look." }] },
    { type: "function_call", name: "shell", arguments: '{"command":["ls"]}', call_id: "call_1" },
    { type: "function_call_output", call_id: "call_1", output: '{"output":"a.txt","metadata":{}}' },
    { type: "function_call", name: "view_image", arguments: '{"path":"a"}', call_id: "call_2" },
    {
      type: "function_call_output",
      call_id: "call_2",
      output: [{ type: "input_text", text: "There is no such file." }],
    },
    { type: "reasoning", summary: [], content: null, encrypted_content: null },
    message("user", "Go on."),
  ],
};

/** Items of tools that only the API's own models have. */
export const codexForeignItems = [
  {
    type: "custom_tool_call",
    name: "apply_patch",
    call_id: "call_3",
    input: "*** Begin Patch\n*** End Patch",
    status: "completed",
  },
  { type: "custom_tool_call_output", call_id: "call_3", output: "Done" },
  {
    type: "web_search_call",
    id: "ws_1",
    status: "completed",
    action: { type: "search", query: "why" },
  },
  {
    type: "local_shell_call",
    id: "ls_1",
    call_id: "call_4",
    status: "completed",
    action: { type: "exec", command: ["ls"], env: {} },
  },
  { type: "local_shell_call_output", id: "ls_1", call_id: "call_4", output: "a.txt" },
];
