import { Ajv2020 } from "ajv/dist/2020.js";
import test, { type ExecutionContext } from "ava";
import { buildAutomaton } from "../../../engine/grammar/automaton.ts";
import type { Grammar } from "../../../engine/grammar/grammar.ts";
import { GrammarTextError } from "../../../server/structured/grammar-text-error.ts";
import { schemaGrammar as convert } from "../../../server/structured/json-schema.ts";
import { accepter } from "../../helpers/grammar-texts.ts";
import { randomText } from "../../helpers/random-text.ts";
import { randomSchema } from "../../helpers/random-schema.ts";

const schemaGrammar = (schema: unknown): Grammar => convert(schema, { isStrict: true }).grammar;

const ajv = new Ajv2020({ strict: false, validateFormats: false, multipleOfPrecision: 9 });

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** @returns how many texts came to an end */
function tryTexts(t: ExecutionContext, schema: Record<string, unknown>, seed: number): number {
  const grammar = schemaGrammar(schema);
  const validate = ajv.compile(schema);
  const texts = Array.from({ length: 3 }, (_, i) => randomText(grammar, seed * 3 + i));
  for (const bytes of texts) {
    const text = bytes && utf8.decode(bytes);
    if (text !== null && !validate(JSON.parse(text))) {
      t.fail(`${JSON.stringify(schema)} allows ${text}`);
    }
  }
  return texts.filter((bytes) => bytes !== null).length;
}

test("what the grammar of a schema allows parses and validates, for 300 random schemas", (t) => {
  let numFinished = 0;
  for (let seed = 0; seed < 300; seed++) numFinished += tryTexts(t, randomSchema(seed), seed);
  t.true(numFinished > 700, `${numFinished} texts came to an end`);
});

test("so it does for 150 random schemas with keywords that are rare, or they allow nothing", (t) => {
  let [numFinished, numImpossible] = [0, 0];
  for (let seed = 0; seed < 150; seed++) {
    const schema = randomSchema(seed, true);
    try {
      numFinished += tryTexts(t, schema, seed);
    } catch (error) {
      if (!(error instanceof GrammarTextError)) throw error;
      t.regex(error.message, /allows|allowed|allow no|between the bounds|is above|unevaluated/);
      numImpossible++;
    }
  }
  t.true(numFinished > 250, `${numFinished} texts came to an end`);
  t.true(numImpossible < 15, `${numImpossible} schemas allow nothing`);
});

const cases: readonly {
  readonly schema: unknown;
  readonly yes: readonly string[];
  readonly no: readonly string[];
}[] = [
  {
    // pydantic's Json[list[int]].
    schema: {
      type: "string",
      contentMediaType: "application/json",
      contentSchema: { type: "array", items: { type: "integer" } },
    },
    yes: ['"[1]"', '"a"'],
    no: ["[1]"],
  },
  {
    schema: { type: "object", properties: { a: { type: "integer" }, b: {} }, required: ["a"] },
    yes: ['{"a": 1}', '{"a": -20, "b": [null, {"x": 1.5e3}]}'],
    no: ['{"b": 1}', '{"a": 1, "c": 2}', '{"b": 1, "a": 1}', '{"a":1}', '{"a": 01}', ""],
  },
  {
    schema: {
      type: "object",
      properties: { a: { type: "null" } },
      additionalProperties: { type: "boolean" },
    },
    yes: ["{}", '{"a": null}', '{"b": true}', '{"a": null, "ab": true, "": false}'],
    no: ['{"a": true}', '{"b": null}', '{"b": true, "a": null}'],
  },
  { schema: { type: "object" }, yes: ["{}", '{"x": {"y": []}}'], no: ["[]", "1"] },
  { schema: true, yes: ["1", '"\\u00e9\\n"', "[[], {}]"], no: ["01", "'x'", '"\n"', '"\\x"'] },
  { schema: { enum: ["a", 1, { k: [1, 2] }] }, yes: ['"a"', "1", '{"k": [1, 2]}'], no: ["2", "a"] },
  { schema: { type: "string", enum: ["a", 1] }, yes: ['"a"'], no: ["1"] },
  { schema: { const: 'q"\n' }, yes: ['"q\\"\\n"'], no: ['"q"'] },
  { schema: { type: ["string", "null"] }, yes: ['"x"', "null"], no: ["1"] },
  {
    schema: { type: "string", minLength: 1, maxLength: 2 },
    yes: ['"é"', '"😀\\n"'],
    no: ['""', '"abc"'],
  },
  {
    schema: { type: "string", format: "date" },
    yes: ['"2024-02-28"'],
    no: ['"2024-02-30"', '"x"'],
  },
  { schema: { type: "string", format: "int32" }, yes: ['"anything"'], no: [] },
  {
    schema: { type: "array", items: { type: "boolean" }, minItems: 1, maxItems: 2 },
    yes: ["[true]", "[true, false]"],
    no: ["[]", "[true, true, true]"],
  },
  {
    schema: { type: "array", prefixItems: [{ const: 1 }], items: false },
    yes: ["[]", "[1]"],
    no: ["[2]", "[1, 1]"],
  },
  {
    schema: { type: "array", prefixItems: [{ const: 1 }], items: { const: 2 }, minItems: 2 },
    yes: ["[1, 2]", "[1, 2, 2]"],
    no: ["[1]", "[2]"],
  },
  {
    schema: {
      allOf: [
        { type: "object", properties: { a: { const: 1 } }, required: ["a"] },
        { properties: { b: { const: 2 } }, required: ["b"] },
      ],
    },
    yes: ['{"a": 1, "b": 2}'],
    no: ['{"a": 1}'],
  },
  {
    schema: {
      type: "object",
      properties: { a: { const: 1 }, b: { const: 2 } },
      anyOf: [{ required: ["a"] }, { required: ["b"] }],
    },
    yes: ['{"a": 1}', '{"b": 2}'],
    no: ["{}"],
  },
  { schema: { oneOf: [{ type: "string" }, { type: "integer" }] }, yes: ['"x"', "3"], no: ["null"] },
  {
    schema: {
      $ref: "#/$defs/node",
      $defs: {
        node: {
          type: "object",
          properties: {
            v: { type: "integer" },
            next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] },
          },
          required: ["v", "next"],
        },
      },
    },
    yes: ['{"v": 1, "next": {"v": 2, "next": null}}'],
    no: ['{"v": 1, "next": {"v": 2}}'],
  },
];

for (const { schema, yes, no } of cases) {
  test(`the schema ${JSON.stringify(schema).slice(0, 90)} is enforced`, (t) => {
    const accepts = accepter(schemaGrammar(schema));
    for (const text of yes) t.true(accepts(text), text);
    for (const text of no) t.false(accepts(text), text);
    if (typeof schema === "object") {
      for (const text of yes) t.true(ajv.validate(schema as object, JSON.parse(text)), text);
    }
  });
}

/** A reference that means another part of the schema, depending on how it was come to. */
const dynamic = {
  properties: { a: { $dynamicRef: "#t" } },
  $defs: { a: { $dynamicAnchor: "t" }, b: { $id: "b", $dynamicAnchor: "t" } },
};

for (const [name, schema, path] of [
  ["multiples of", { type: "integer", multipleOf: 1e6 + 1 }, ""],
  ["uniqueItems", { properties: { a: { type: "array", uniqueItems: true } } }, ".properties.a"],
  ["look-behind", { type: "object", patternProperties: { "(?<=a)": {} } }, ""],
  ["not", { items: { not: { format: "date" } } }, ".items"],
  ["look-behind", { properties: { a: { type: "string", pattern: "(?<!a)b" } } }, ".properties.a"],
  ["\\\\b", { type: "string", enum: ["a"], pattern: "\\ba" }, ""],
  ["if", { if: { type: "object", patternProperties: {} }, then: { type: "string" } }, ""],
  [
    "unevaluatedProperties",
    { allOf: [{ unevaluatedProperties: false }, { minProperties: 1 }] },
    ".allOf[0]",
  ],
  ["dynamicRef", dynamic, ".properties.a"],
  ["maxlength", { type: "string", maxlength: 3 }, ""],
  ["refers to nothing", { $ref: "#/$defs/x" }, ""],
  ["refers to nothing", { properties: { a: { $ref: "#name" } } }, ".properties.a"],
  ["no valid URI", { $ref: "#/%zz" }, ""],
  ["refers to itself", { $ref: "#/$defs/x", $defs: { x: { $ref: "#/$defs/x" } } }, ".$defs.x"],
  ["refers to itself", { anyOf: [{ $ref: "#" }, { type: "null" }] }, ""],
  ["no part of this schema", { $ref: "https://example.com/s.json" }, ""],
  ["no type", { type: "float" }, ""],
  ["allows something", false, ""],
  ["between the bounds", { type: "integer", minimum: 1.2, maximum: 1.8 }, ""],
  ["enum", { enum: [] }, ""],
] as const) {
  test(`what cannot be enforced is refused by name: ${name} of ${JSON.stringify(schema)}`, (t) => {
    t.throws(() => schemaGrammar(schema), {
      name: "GrammarTextError",
      message: new RegExp(name),
      code: "grammar_text",
    });
    try {
      schemaGrammar(schema);
    } catch (error) {
      t.is((error as { path: string }).path, path);
    }
  });
}

test("a thousand properties that may all be absent are no trouble", (t) => {
  const names = Array.from({ length: 1000 }, (_, i) => `p${i}`);
  const properties = Object.fromEntries(names.map((name) => [name, { type: "boolean" }]));
  const accepts = accepter(schemaGrammar({ type: "object", properties }));
  t.true(accepts("{}"));
  t.true(accepts('{"p3": true, "p999": false}'));
  t.false(accepts('{"p999": false, "p3": true}'));
});

test("nesting takes no stack, and what is nested without end is refused", (t) => {
  const nested = (depth: number) => {
    let schema: object = { type: "null" };
    for (let i = 0; i < depth; i++) schema = { type: "array", items: schema, minItems: 1 };
    return schema;
  };
  t.true(accepter(schemaGrammar(nested(2000)))(`${"[".repeat(2000)}null${"]".repeat(2000)}`));
  t.throws(() => schemaGrammar(nested(60_000)), { message: /too many combinations/ });
});

const conversions: readonly {
  readonly name: string;
  readonly schema: Record<string, unknown>;
  /** Null where it is refused. */
  readonly maxRules: number | null;
}[] = [
  {
    name: "a chain of 16 definitions, each of which mentions the next twice with an annotation",
    schema: chain(16, ($ref) => ({
      type: "object",
      properties: { a: { $ref, description: "first" }, b: { $ref, description: "second" } },
    })),
    maxRules: 200,
  },
  {
    name: "a chain of 16 definitions, each of which mentions the next twice with other constraints",
    schema: chain(16, ($ref) => ({
      type: "object",
      properties: { a: { $ref, maxProperties: 5 }, b: { $ref, minProperties: 0 } },
    })),
    maxRules: 400,
  },
  {
    name: "a chain of 200 allOf, each with the next twice",
    schema: chain(200, ($ref, i) => ({ allOf: [{ $ref }, { $ref, minimum: i }] })),
    maxRules: 20,
  },
  {
    name: "a chain of 30 anyOf, each with the next twice",
    schema: chain(30, ($ref, i) => ({ anyOf: [{ $ref }, { $ref, minimum: i }] })),
    maxRules: null,
  },
  {
    name: "a product of 12 anyOf",
    schema: {
      type: "object",
      allOf: range(12, (i) => ({ anyOf: range(4, (j) => ({ required: [`${i} ${j}`] })) })),
    },
    maxRules: null,
  },
  {
    name: "an enum of 15,000 beside another",
    schema: {
      enum: range(15_000, (i) => `value number ${i}`),
      allOf: [{ enum: range(15_000, (i) => `value number ${i + 7000}`) }],
    },
    maxRules: 20,
  },
  {
    name: "a oneOf of 1000",
    schema: {
      oneOf: range(1000, (i) => ({ properties: { t: { const: i } }, required: ["t"] })),
    },
    maxRules: 10_000,
  },
  {
    name: "200 properties that are counted",
    schema: {
      type: "object",
      properties: Object.fromEntries(range(200, (i) => [`p${i}`, { type: "null" }])),
      minProperties: 50,
      maxProperties: 90,
    },
    maxRules: 20_000,
  },
  {
    name: "a pattern that no automaton of a bearable size has",
    schema: { type: "string", pattern: "^(?=(a|b)*a(a|b){30}$)(a|b)*$" },
    maxRules: null,
  },
];

for (const { name, schema, maxRules } of conversions) {
  test(`it costs little, or is refused soon: ${name}`, (t) => {
    if (maxRules === null) {
      t.throws(() => schemaGrammar(schema), { message: /too many|not supported here/ });
    } else {
      const grammar = schemaGrammar(schema);
      const { length } = Object.keys(grammar.rules);
      t.true(length <= maxRules, `${length} rules`);
      t.notThrows(() => buildAutomaton(grammar));
    }
  });
}

function chain(
  length: number,
  link: ($ref: string, index: number) => object,
): Record<string, unknown> {
  const links = range(length, (i) => [`d${i}`, link(`#/$defs/d${i + 1}`, i)] as const);
  return {
    $ref: "#/$defs/d0",
    $defs: { ...Object.fromEntries(links), [`d${length}`]: { type: "object" } },
  };
}

function range<Item>(length: number, item: (index: number) => Item): Item[] {
  return Array.from({ length }, (_, i) => item(i));
}
