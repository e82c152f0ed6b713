import { existsSync, readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import test from "ava";
import ts from "typescript";

type Reach = "all" | "types";

/** The arrows of ARCHITECTURE.md: what a folder may import besides itself. */
const arrows: Readonly<Record<string, Readonly<Record<string, Reach>>>> = {
  model: {},
  runtime: { model: "all" },
  prune: { model: "all", runtime: "all" },
  router: { model: "all" },
  engine: { model: "all", runtime: "all", router: "types" },
  server: { model: "all", engine: "all", router: "all", client: "types" },
  "server/page": { client: "all", server: "types" },
  client: {},
  bin: {
    model: "all",
    runtime: "all",
    prune: "all",
    router: "all",
    engine: "all",
    server: "all",
  },
  grafana: { server: "all" },
  bench: {
    model: "all",
    runtime: "all",
    prune: "all",
    router: "all",
    engine: "all",
    server: "all",
    bin: "all",
  },
  test: {
    model: "all",
    runtime: "all",
    prune: "all",
    router: "all",
    engine: "all",
    server: "all",
    bin: "all",
    bench: "all",
    grafana: "all",
    "server/page": "all",
    client: "all",
  },
};

/** Rooms of server/ in layers: a room may import what lies in a layer above its own. */
const serverLayers: readonly (readonly string[])[] = [
  ["base", "wire"],
  ["config", "parameters", "background"],
  ["metrics", "tracing", "text"],
  ["http", "tools", "routing", "experts"],
  ["security", "structured", "model"],
  ["generation"],
  ["reading", "responses", "tokenizing", "websocket"],
  ["openapi"],
];

const serverRooms = Object.fromEntries(
  serverLayers.flatMap((layer, depth) => {
    const above = serverLayers.slice(0, depth).flat();
    return layer.map((room) => [`server/${room}`, above.map((other) => `server/${other}`)]);
  }),
);

/** As `arrows`, for the rooms of a folder, which its own root is one of. */
const rooms: Readonly<Record<string, readonly string[]>> = {
  model: [],
  "model/files": ["model"],
  "model/text": ["model"],
  "model/source": ["model", "model/files"],
  "model/weights": ["model", "model/files", "model/text"],
  "model/stages": ["model/weights"],
  "model/graph": ["model/weights", "model/stages"],
  "model/experts": ["model", "model/files", "model/weights", "model/stages"],
  "model/prepared": ["model", "model/files", "model/weights", "model/stages"],
  "engine/contract": [],
  "engine/grammar": ["engine/contract"],
  "engine/device": ["engine/contract"],
  "engine/sequence": ["engine/contract", "engine/grammar"],
  "engine/speculation": ["engine/contract"],
  "engine/run": ["engine/contract", "engine/device", "engine/sequence", "engine/speculation"],
  "engine/experts": ["engine/contract", "engine/device"],
  "engine/worker": [
    "engine/contract",
    "engine/grammar",
    "engine/device",
    "engine/speculation",
    "engine/run",
    "engine/experts",
  ],
  prune: [],
  "prune/linear": ["prune"],
  "prune/scoring": ["prune"],
  "prune/tasks": ["prune", "prune/scoring"],
  "prune/evaluation": ["prune/scoring", "prune/tasks"],
  "prune/calibration": ["prune", "prune/scoring", "prune/tasks"],
  "prune/choice": ["prune", "prune/linear", "prune/calibration"],
  "prune/compensation": ["prune/linear", "prune/calibration", "prune/choice"],
  "prune/experts": [
    "prune/scoring",
    "prune/tasks",
    "prune/calibration",
    "prune/choice",
    "prune/compensation",
  ],
  ...serverRooms,
};

/** Packages and files that only some of the project is to know. */
const secrets: Readonly<Record<string, readonly string[]>> = {
  "onnxruntime-node": ["runtime/", "test/runtime/", "test/model/"],
  "engine/device/cpu-device.ts": ["engine/device/open-device.ts", "test/"],
};

interface Import {
  /** Path of the importing file from the root. */
  readonly from: string;
  /** Path of the imported file from the root, or the name of a package. */
  readonly to: string;
  readonly isPackage: boolean;
  readonly typeOnly: boolean;
}

/** Imports of the project's files; a package is imported by its name. */
function findImports(path: string, text: string): Import[] {
  const imports: Import[] = [];
  const add = (specifier: ts.Node | undefined, typeOnly: boolean): void => {
    if (specifier === undefined || !ts.isStringLiteralLike(specifier)) return;
    const { text: name } = specifier;
    // A folder below /assets/ is one of the project's, compiled for the browser.
    const isServed = /^\/assets\/.+\//.test(name);
    const isPackage = !isServed && !name.startsWith(".");
    let to = name;
    if (isServed) to = name.slice("/assets/".length).replace(/\.js$/, ".ts");
    else if (!isPackage) to = posix.join(posix.dirname(path), name);
    imports.push({ from: path, to, isPackage, typeOnly });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      add(node.moduleSpecifier, node.importClause?.isTypeOnly ?? false);
    } else if (ts.isExportDeclaration(node)) {
      add(node.moduleSpecifier, node.isTypeOnly);
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], false);
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, true);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest));
  return imports;
}

/** The page runs in a browser, and is a folder of its own. */
function folderOf(path: string): string {
  return path.startsWith("server/page/") ? "server/page" : path.slice(0, path.indexOf("/"));
}

/** @returns what is wrong with the import, or undefined. */
function findViolation({ from, to, isPackage, typeOnly }: Import): string | undefined {
  const knowers = secrets[to];
  if (knowers && !knowers.some((place) => from.startsWith(place))) {
    return `${from} imports ${to}: only ${knowers.join(", ")} may`;
  }
  if (isPackage) return undefined;
  if (folderOf(from) === folderOf(to)) return roomProblemOf(from, to);
  const reach = arrows[folderOf(from)]?.[folderOf(to)];
  if (reach === "all" || (reach === "types" && typeOnly)) return undefined;
  const rule = reach === "types" ? "may import only types of" : "may not import";
  return `${from} imports ${to}: ${folderOf(from)}/ ${rule} ${folderOf(to)}/`;
}

function roomProblemOf(from: string, to: string): string | undefined {
  const [room, other] = [roomOf(from), roomOf(to)];
  if (room === other || rooms[room]?.includes(other) !== false) return undefined;
  return `${from} imports ${to}: ${room}/ may not import ${other}/`;
}

/** The innermost room that a file is in; its folder where that has none. */
function roomOf(path: string): string {
  let room = posix.dirname(path);
  while (room.includes("/") && !Object.hasOwn(rooms, room)) room = posix.dirname(room);
  return room;
}

/** @returns the files of one cycle, first and last the same, or undefined. */
function findCycle(imports: readonly Import[]): string[] | undefined {
  const finished = new Set<string>();
  const follow = (path: string, trail: readonly string[]): string[] | undefined => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (finished.has(path)) return undefined;
    for (const { to } of imports.filter(({ from }) => from === path)) {
      const cycle = follow(to, [...trail, path]);
      if (cycle !== undefined) return cycle;
    }
    finished.add(path);
    return undefined;
  };
  for (const { from } of imports) {
    const cycle = follow(from, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

/** Every import of the project; ava runs in its root. */
function readProjectImports(): Import[] {
  return Object.keys(arrows)
    .filter((folder) => !folder.includes("/") && existsSync(folder))
    .flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith(".ts") && !name.includes("node_modules"))
        .map((name) => posix.join(folder, name.replaceAll("\\", "/"))),
    )
    .flatMap((path) => findImports(path, readFileSync(path, "utf8")));
}

test("every import between folders is an arrow of the architecture", (t) => {
  t.deepEqual(
    readProjectImports()
      .map(findViolation)
      .filter((violation) => violation !== undefined),
    [],
  );
});

test("no file imports itself, directly or through others", (t) => {
  t.is(findCycle(readProjectImports()), undefined);
});

test("an import in any form that is not an arrow is found", (t) => {
  const violations = (path: string, text: string) =>
    findImports(path, text).flatMap((found) => findViolation(found) ?? []);

  t.is(violations("model/a.ts", 'import { b } from "../engine/b.ts";').length, 1);
  t.is(violations("model/a.ts", 'import "../engine/b.ts";').length, 1);
  t.is(violations("model/a.ts", 'export * from "../engine/b.ts";').length, 1);
  t.is(violations("model/a.ts", 'const b = await import("../engine/b.ts");').length, 1);
  t.is(violations("model/a.ts", 'type B = import("../engine/b.ts").B;').length, 1);
  t.is(violations("server/a.ts", 'import { b } from "../prune/b.ts";').length, 1);
  t.is(violations("engine/a.ts", 'import { b } from "../server/b.ts";').length, 1);
  t.is(violations("engine/a.ts", 'import { b } from "../router/b.ts";').length, 1);
  t.is(violations("engine/a.ts", 'import { type B } from "../router/b.ts";').length, 1);
  t.is(violations("engine/a.ts", 'import type { B } from "../router/b.ts";').length, 0);
  t.is(violations("engine/a.ts", 'import * as ort from "onnxruntime-node";').length, 1);
  t.is(violations("runtime/a.ts", 'import * as ort from "onnxruntime-node";').length, 0);
  t.is(violations("model/files/a.ts", 'import { b } from "../graph/b.ts";').length, 1);
  t.is(violations("model/a.ts", 'import { b } from "./graph/b.ts";').length, 1);
  t.is(violations("model/graph/a.ts", 'import { b } from "../weights/b.ts";').length, 0);
  t.is(violations("model/weights/deep/a.ts", 'import { b } from "../b.ts";').length, 0);
  t.is(violations("engine/run/a.ts", 'import type { B } from "../experts/b.ts";').length, 1);
  t.is(violations("engine/contract/a.ts", 'import type { B } from "../run/b.ts";').length, 1);
  t.is(violations("server/base/a.ts", 'import { b } from "../config/b.ts";').length, 1);
  t.is(violations("server/metrics/a.ts", 'import { b } from "../tracing/b.ts";').length, 1);
  t.is(violations("server/generation/a.ts", 'import { b } from "../http/b.ts";').length, 0);
  t.is(violations("server/http/a.ts", 'import { b } from "../app.ts";').length, 1);
  t.is(violations("server/page/a.ts", 'import { b } from "/assets/client/b.js";').length, 0);
  t.is(violations("server/page/a.ts", 'import { b } from "/assets/engine/b.js";').length, 1);
  t.is(violations("server/page/a.ts", 'import { b } from "../http/b.ts";').length, 1);
  t.is(violations("engine/a.ts", 'import ws from "ws"; import { b } from "./b.ts";').length, 0);
});

test("a cycle through several files is found", (t) => {
  const files = ["a", "b", "c"].flatMap((name, index, names) =>
    findImports(`model/${name}.ts`, `import "./${names[(index + 1) % names.length]!}.ts";`),
  );
  t.deepEqual(findCycle(files), ["model/a.ts", "model/b.ts", "model/c.ts", "model/a.ts"]);
});
