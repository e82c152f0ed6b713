import test from "ava";
import { toMessages } from "../../../server/responses/conversation.ts";
import { type ChatPiece, ResponseOutput } from "../../../server/responses/response-output.ts";

type Delta = ChatPiece["delta"];

/** Types of the events that pieces become, and what is left of them. */
function told(deltas: readonly Delta[], isWhole = true) {
  const output = new ResponseOutput();
  const events = deltas.flatMap((delta) => [...output.take({ delta, logprobs: null })]);
  events.push(...output.finish(isWhole));
  return { output, events, types: events.map(({ type }) => type.replace("response.", "")) };
}

const call = (id: string, name: string) => ({ id, function: { name, arguments: "" } });
const piece = (text: string) => ({ function: { arguments: text } });

test("text and calls become items one after the other, each closed before the next", (t) => {
  const { output, types, events } = told([
    { content: "" },
    { content: "Let me see." },
    { tool_calls: [call("1", "f")] },
    { tool_calls: [piece('{"x":')] },
    { tool_calls: [piece("1}")] },
    { tool_calls: [call("2", "g"), piece("{}")] },
    {},
  ]);
  t.deepEqual(types, [
    "output_item.added",
    "content_part.added",
    "output_text.delta",
    "output_text.done",
    "content_part.done",
    "output_item.done",
    "output_item.added",
    "function_call_arguments.delta",
    "function_call_arguments.delta",
    "function_call_arguments.done",
    "output_item.done",
    "output_item.added",
    "function_call_arguments.delta",
    "function_call_arguments.done",
    "output_item.done",
  ]);
  t.like(output.items, [
    { type: "message", status: "completed", content: [{ text: "Let me see." }] },
    { type: "function_call", status: "completed", call_id: "1", name: "f", arguments: '{"x":1}' },
    { type: "function_call", status: "completed", call_id: "2", name: "g", arguments: "{}" },
  ]);
  t.deepEqual(
    events.flatMap(({ type, output_index }) => (type.endsWith("item.done") ? [output_index] : [])),
    [0, 1, 2],
  );
});

test("the conversation goes on with what was said and called", (t) => {
  const { output } = told([
    { content: "a" },
    { tool_calls: [call("1", "f"), piece("{}")] },
    { content: "b" },
  ]);
  t.deepEqual(toMessages(output.items), [
    {
      role: "assistant",
      content: "ab",
      tool_calls: [{ id: "1", type: "function", function: { name: "f", arguments: "{}" } }],
    },
  ]);
});

test("the last item of an answer that was cut off is incomplete, and only that", (t) => {
  const { output } = told(
    [{ content: "a" }, { tool_calls: [call("1", "f"), piece('{"x"')] }],
    false,
  );
  t.deepEqual(
    output.items.map(({ status }) => status),
    ["completed", "incomplete"],
  );
});

test("reasoning is an item before the message, which comes however little is said", (t) => {
  const { types, output } = told([{ reasoning_content: "a" }, { reasoning_content: "b" }, {}]);
  t.deepEqual(types, [
    "output_item.added",
    "content_part.added",
    "reasoning_text.delta",
    "reasoning_text.delta",
    "reasoning_text.done",
    "content_part.done",
    "output_item.done",
    "output_item.added",
    "content_part.added",
    "output_text.done",
    "content_part.done",
    "output_item.done",
  ]);
  t.like(output.items, [
    { type: "reasoning", content: [{ text: "ab" }] },
    { type: "message", content: [{ text: "" }] },
  ]);
});

test("what was thought belongs to the message or the call that followed", (t) => {
  const { output } = told([
    { reasoning_content: "hm" },
    { tool_calls: [call("1", "f"), piece("{}")] },
    { reasoning_content: "so" },
    { content: "a" },
  ]);
  const messages = toMessages(output.items);
  t.like(messages, [
    { role: "assistant", reasoning_content: "hm", content: "", tool_calls: [{ id: "1" }] },
    { role: "assistant", reasoning_content: "so", content: "a" },
  ]);
});
