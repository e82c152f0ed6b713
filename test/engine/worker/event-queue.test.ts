import test from "ava";
import { EventQueue } from "../../../engine/worker/event-queue.ts";

async function collect<Item>(queue: EventQueue<Item>): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of queue) items.push(item);
  return items;
}

test("items come in order, whether pushed before or during the iteration", async (t) => {
  const queue = new EventQueue<number>();
  queue.push(1);
  queue.push(2);
  const all = collect(queue);
  await Promise.resolve();
  queue.push(3);
  queue.push(4);
  queue.end();
  t.deepEqual(await all, [1, 2, 3, 4]);
});

test("an end before the iteration keeps the items", async (t) => {
  const queue = new EventQueue<number>();
  queue.push(1);
  queue.end();
  t.deepEqual(await collect(queue), [1]);
});

test("a failure comes after the items already pushed", async (t) => {
  const queue = new EventQueue<number>();
  queue.push(1);
  queue.fail(new Error("broken"));
  const iterator = queue[Symbol.asyncIterator]();
  t.deepEqual(await iterator.next(), { value: 1, done: false });
  await t.throwsAsync(iterator.next(), { message: "broken" });
});

test("a failure wakes a waiting reader", async (t) => {
  const queue = new EventQueue<number>();
  const all = collect(queue);
  queue.fail(new Error("broken"));
  await t.throwsAsync(all, { message: "broken" });
});

test("of an end and failures the first counts", async (t) => {
  const ended = new EventQueue<number>();
  ended.end();
  ended.fail(new Error("late"));
  t.deepEqual(await collect(ended), []);

  const failed = new EventQueue<number>();
  failed.fail(new Error("first"));
  failed.fail(new Error("second"));
  await t.throwsAsync(collect(failed), { message: "first" });
});
