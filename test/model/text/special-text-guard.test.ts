import test from "ava";
import fc from "fast-check";
import { SpecialTextGuard } from "../../../model/text/special-text-guard.ts";

const contents = ["<s>", "<<s>", "</s>", "[A]", "A]B"];
const guard = new SpecialTextGuard(contents);
const text = fc
  .array(
    fc.oneof(fc.constantFrom("<", "s>", "\uFDD0", "\uFDD1", "\uFDD2", ...contents), fc.string()),
  )
  .map((parts) => parts.join(""));

test("protected text holds no special token, and unprotecting gives the text back", (t) => {
  t.notThrows(() =>
    fc.assert(
      fc.property(text, (original) => {
        const safe = guard.protect(original) as string;
        return (
          !contents.some((content) => safe.includes(content)) && guard.unprotect(safe) === original
        );
      }),
    ),
  );
});

test("two protected texts side by side hold no special token", (t) => {
  t.notThrows(() =>
    fc.assert(
      fc.property(text, text, (left, right) => {
        const safe = `${guard.protect(left) as string}${guard.protect(right) as string}`;
        return !contents.some((content) => safe.includes(content));
      }),
    ),
  );
});

test("text without special tokens stays as it is", (t) => {
  for (const original of ["", " ", "hello\n", "a b > c", "user", "s"]) {
    t.is(guard.protect(original), original);
  }
});

test("objects, lists and their keys are protected, other values kept", (t) => {
  const value = { "<s>": [{ text: "x<s>" }, 1, null, true] };
  const safe = guard.protect(value);
  t.notDeepEqual(safe, value);
  t.deepEqual(JSON.parse(guard.unprotect(JSON.stringify(safe))), value);
});
