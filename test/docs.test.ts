import { existsSync, readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import test from "ava";

const pages = [
  ...["README.md", "ARCHITECTURE.md", "CHANGELOG.md"],
  ...readdirSync("docs", { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => posix.join("docs", name.replaceAll("\\", "/"))),
];

/** As GitHub names the headings of a page. */
function anchorsOf(text: string): Set<string> {
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading!);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}

test("every link from one page to another leads to a file and to a heading that are there", (t) => {
  for (const page of pages) {
    const text = readFileSync(page, "utf8");
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue;
      const [path, anchor] = target!.split("#");
      const file = path === "" ? page : posix.join(posix.dirname(page), path!);
      t.true(existsSync(file), `${page}: ${target}`);
      if (anchor === undefined || !file.endsWith(".md") || !existsSync(file)) continue;
      t.true(anchorsOf(readFileSync(file, "utf8")).has(anchor), `${page}: ${target}`);
    }
  }
});

test("files of the project that pages name are there", (t) => {
  for (const page of pages.filter((name) => name !== "CHANGELOG.md")) {
    const names = readFileSync(page, "utf8").matchAll(
      /`((?:model|runtime|prune|router|engine|server|bin|client|bench|test|scripts|grafana|deploy)\/[\w./-]+\.\w+)`/g,
    );
    for (const [, name] of names) t.true(existsSync(name!), `${page}: ${name}`);
  }
});

test("the README is read on a screen and a half", (t) => {
  t.true(readFileSync("README.md", "utf8").split("\n").length <= 150);
});
