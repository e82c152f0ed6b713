import { isDeepStrictEqual } from "node:util";
import test from "ava";
import fc from "fast-check";
import type { ChatMessage } from "../../../server/text/codec.ts";
import { ConversationTasks } from "../../../server/routing/conversation-tasks.ts";

const user = (content: string): ChatMessage => ({ role: "user", content });
const assistant = (content: string): ChatMessage => ({ role: "assistant", content });
const hour = 60 * 60 * 1000;

test("a conversation is known by what its last request said, whatever was answered", (t) => {
  const tasks = new ConversationTasks(() => 0);
  tasks.remember([user("a")], "math");
  t.is(tasks.find([user("a")]), undefined);
  t.is(tasks.find([user("a"), assistant("x"), user("b")]), "math");
  t.is(tasks.find([user("a"), assistant("y"), user("c")]), "math");
  t.is(tasks.find([user("A"), assistant("x"), user("b")]), undefined);
  t.is(tasks.find([assistant("x"), user("b")]), undefined);
});

test("each turn goes on from the one before, null included", (t) => {
  const tasks = new ConversationTasks(() => 0);
  const second = [user("a"), assistant("x"), user("b")];
  tasks.remember([user("a")], "math");
  tasks.remember(second, null);
  t.is(tasks.find([...second, assistant("y"), user("c")]), null);
  t.is(tasks.find(second), "math");
});

test("the results of tools belong to the turn that they follow", (t) => {
  const tasks = new ConversationTasks(() => 0);
  const call = [user("a"), assistant(""), { role: "tool", content: "42" } as const];
  tasks.remember([user("a")], "code");
  t.is(tasks.find(call), "code");
  tasks.remember(call, "math");
  t.is(tasks.find([...call, assistant("42."), user("b")]), "math");
});

test("a conversation is forgotten an hour after its last request", (t) => {
  let now = 0;
  const tasks = new ConversationTasks(() => now);
  const next = [user("a"), assistant("x"), user("b")];
  tasks.remember([user("a")], "math");
  now = hour;
  t.is(tasks.find(next), "math");
  now = hour + 1;
  t.is(tasks.find(next), undefined);
});

test("ten thousand conversations are remembered, the oldest goes first", (t) => {
  const tasks = new ConversationTasks(() => 0);
  const find = (name: string) => tasks.find([user(name), assistant("x"), user("b")]);
  for (let i = 0; i < 10_000; i++) tasks.remember([user(`${i}`)], "math");
  tasks.remember([user("0")], "code");
  tasks.remember([user("new")], "math");
  t.is(find("0"), "code");
  t.is(find("1"), undefined);
  t.is(find("2"), "math");
  t.is(find("new"), "math");
});

test("conversations are told apart by every message's every word, asked for before or not", (t) => {
  const text = fc.constantFrom("", "a", "1 a", "0 ", '{"role":"user"}');
  const message = fc.record(
    { role: fc.constantFrom("user", "tool"), content: text, name: text },
    { requiredKeys: ["role", "content"], noNullPrototype: true },
  ) as fc.Arbitrary<ChatMessage>;
  const turns = fc.array(message, { minLength: 1, maxLength: 3 });
  const next = [assistant("x"), user("b")];
  t.notThrows(() =>
    fc.assert(
      fc.property(turns, turns, (one, other) => {
        const tasks = new ConversationTasks(() => 0);
        tasks.remember(one, "math");
        const follow = [...other, ...next];
        const isKnown = tasks.find(follow) === "math";
        tasks.remember(follow, "code");
        return (
          isKnown === isDeepStrictEqual(one, other) &&
          tasks.find([...other, ...next, ...next]) === "code"
        );
      }),
      { numRuns: 2000 },
    ),
  );
});
