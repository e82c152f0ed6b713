import { Ajv } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import test, { type ExecutionContext } from "ava";
import type { GrammarTextError } from "../../../server/structured/grammar-text-error.ts";
import { schemaGrammar } from "../../../server/structured/json-schema.ts";
import { accepter } from "../../helpers/grammar-texts.ts";

const ajv2020 = new Ajv2020({ strict: false, validateFormats: false, multipleOfPrecision: 9 });
const ajv7 = new Ajv({ strict: false, validateFormats: false });

interface Case {
  readonly schema: Record<string, unknown>;
  readonly yes: readonly string[];
  readonly no: readonly string[];
  /** Another draft than 2020-12, in which a validator knows it; null for none. */
  readonly draft?: "draft7" | null;
}

const object = (properties: object, more: object = {}) => ({ type: "object", properties, ...more });

const references: readonly Case[] = [
  {
    schema: object({
      a: { $ref: "#/properties/t/anyOf/0" },
      t: { anyOf: [{ type: "integer" }, { type: "null" }] },
    }),
    yes: ['{"a": 1, "t": null}'],
    no: ['{"a": null}'],
  },
  {
    schema: object({ a: { $ref: "#leaf" } }, { $defs: { x: { $anchor: "leaf", type: "null" } } }),
    yes: ['{"a": null}'],
    no: ['{"a": 1}'],
  },
  {
    schema: {
      $id: "https://example.com/root.json",
      ...object({ a: { $ref: "item.json#/$defs/b" }, c: { $ref: "/root.json#/$defs/d" } }),
      $defs: {
        x: { $id: "item.json", $defs: { b: { $ref: "#/$defs/c" }, c: { type: "boolean" } } },
        d: { const: "d" },
      },
    },
    yes: ['{"a": true, "c": "d"}'],
    no: ['{"a": "d"}'],
  },
  {
    schema: {
      $dynamicAnchor: "node",
      ...object({ next: { $dynamicRef: "#node" }, v: { const: 1 } }),
    },
    yes: ['{"next": {"next": {}, "v": 1}}'],
    no: ['{"next": 1}'],
  },
  {
    schema: object({ a: { $ref: "#/$defs/a~1b%25" } }, { $defs: { "a/b%": { type: "null" } } }),
    yes: ['{"a": null}'],
    no: ['{"a": 1}'],
  },
];

const decidable: readonly Case[] = [
  {
    schema: {
      type: "object",
      additionalProperties: { type: "integer" },
      propertyNames: { type: "string" },
    },
    yes: ['{"x": 1}'],
    no: ['{"x": "1"}'],
  },
  {
    schema: {
      ...object({ id: { type: "null" }, other: {} }),
      additionalProperties: { type: "integer" },
      propertyNames: { pattern: "^[a-i]", maxLength: 3 },
    },
    yes: ['{"id": null, "abc": 1}', "{}"],
    no: ['{"z": 1}', '{"abcd": 1}', '{"id": 1}', '{"other": 1}'],
  },
  {
    schema: {
      type: "object",
      additionalProperties: { type: "integer" },
      propertyNames: { enum: ["de", "fr"] },
    },
    yes: ['{"de": 1, "fr": 2}', "{}"],
    no: ['{"it": 1}'],
  },
  {
    schema: {
      type: "string",
      minLength: 3,
      pattern: "^a",
      enum: ["abc", "a", "bcd", 1],
    },
    yes: ['"abc"'],
    no: ['"a"', '"bcd"', "1"],
  },
  {
    schema: { const: { a: [1, 2] }, properties: { a: { uniqueItems: true } }, required: ["a"] },
    yes: ['{"a": [1, 2]}'],
    no: ["{}"],
  },
  {
    schema: { type: "array", items: [{ const: 1 }, { const: 2 }], additionalItems: false },
    yes: ["[1, 2]", "[]"],
    no: ["[1, 2, 3]", "[2]"],
    draft: "draft7",
  },
  {
    schema: { type: "array", items: [{ const: 1 }], additionalItems: { type: "boolean" } },
    yes: ["[1, true]"],
    no: ["[1, 2]"],
    draft: "draft7",
  },
  {
    schema: {
      type: "integer",
      minimum: 1,
      exclusiveMinimum: true,
      maximum: 3,
      exclusiveMaximum: false,
    },
    yes: ["2", "3"],
    no: ["1", "4"],
    draft: null,
  },
  {
    schema: { type: "string", pattern: "^[a-z]+(-[a-z]+)*$", minLength: 3, maxLength: 6 },
    yes: ['"abc"', '"a-bc-d"'],
    no: ['"ab"', '"abcdefg"', '"abc-"'],
  },
  {
    schema: {
      oneOf: [object({ a: { const: 1 } }), object({ b: { const: 2 } }, { required: ["b"] })],
    },
    yes: ['{"a": 1}', '{"b": 2}'],
    no: ['{"a": 2}'],
    draft: null,
  },
  {
    schema: object({ a: { const: 1 }, b: { not: {} }, c: false }),
    yes: ['{"a": 1}', "{}"],
    no: ['{"a": 1, "b": 1}', '{"c": null}'],
  },
  {
    schema: object({ a: { const: 1 }, b: { const: 2 } }, { minProperties: 1, maxProperties: 1 }),
    yes: ['{"a": 1}', '{"b": 2}'],
    no: ["{}", '{"a": 1, "b": 2}'],
  },
  {
    schema: {
      type: "object",
      additionalProperties: { const: 1 },
      minProperties: 2,
      maxProperties: 3,
    },
    yes: ['{"a": 1, "b": 1}', '{"a": 1, "b": 1, "c": 1}'],
    no: ["{}", '{"a": 1}', '{"a": 1, "b": 1, "c": 1, "d": 1}'],
  },
  {
    schema: { type: "array", items: { enum: ["x", "y", "z"] }, uniqueItems: true, minItems: 1 },
    yes: ['["x"]', '["z", "x", "y"]'],
    no: ["[]", '["x", "x"]'],
  },
  {
    schema: { type: "integer", multipleOf: 7, minimum: -20 },
    yes: ["0", "-14", "7", "343000"],
    no: ["1", "-21", "7.0"],
  },
  {
    schema: { type: "number", multipleOf: 0.05, minimum: 0, maximum: 10 },
    yes: ["0.05", "1.5", "10", "9.95", "3"],
    no: ["0.06", "1.234", "10.05", "-1"],
  },
  {
    schema: { type: "integer", allOf: [{ multipleOf: 4 }, { multipleOf: 6 }] },
    yes: ["12", "-36"],
    no: ["4", "6"],
  },
  {
    schema: {
      type: "object",
      patternProperties: { "^x-": { type: "integer" }, "-y$": { minimum: 5 } },
    },
    yes: ['{"x-a": 1}', '{"x-y": 5}', '{"-y": 7.5}', "{}"],
    no: ['{"x-y": 4}', '{"x-a": "1"}', '{"a": 1}'],
    draft: null,
  },
  {
    schema: {
      ...object({ "x-id": { maximum: 3 } }),
      patternProperties: { "^x-": { type: "integer" } },
      additionalProperties: { type: "null" },
    },
    yes: ['{"x-id": 3, "x-a": 9, "b": null}'],
    no: ['{"x-id": 4}', '{"b": 1}', '{"x-b": null}'],
  },
  {
    schema: object(
      { a: { const: 1 }, b: { const: 2 }, c: { const: 3 } },
      { dependentRequired: { a: ["c"] } },
    ),
    yes: ['{"a": 1, "c": 3}', '{"b": 2}'],
    no: ['{"a": 1}', '{"a": 1, "b": 2}'],
  },
  {
    schema: object(
      { country: { enum: ["US", "DE"] }, code: { type: "string" } },
      {
        required: ["country", "code"],
        if: { properties: { country: { const: "US" } } },
        then: { properties: { code: { pattern: "^[0-9]{5}$" } } },
        else: { properties: { code: { pattern: "^D-" } } },
      },
    ),
    yes: ['{"country": "US", "code": "12345"}', '{"country": "DE", "code": "D-1"}'],
    no: ['{"country": "US", "code": "D-1"}', '{"country": "DE", "code": "12345"}'],
  },
  {
    schema: { type: ["string", "integer"], not: { enum: ["a", 1] } },
    yes: ['"b"', '"ab"', '""', "2", "11"],
    no: ['"a"', "1", "null"],
  },
  {
    schema: { type: "string", not: { pattern: "[0-9]" } },
    yes: ['"abc"'],
    no: ['"a1"'],
  },
  {
    schema: {
      type: "array",
      items: { enum: [1, 2] },
      contains: { const: 2 },
      maxContains: 2,
      minItems: 2,
    },
    yes: ["[1, 2]", "[2, 2]", "[2, 1, 1, 2, 1]"],
    no: ["[1, 1]", "[2]", "[2, 2, 2]"],
  },
  {
    schema: object({ a: { type: "string", nullable: true }, b: { nullable: true, enum: ["x"] } }),
    yes: ['{"a": null, "b": null}', '{"a": "y", "b": "x"}'],
    no: ['{"a": 1}', '{"b": "y"}'],
    draft: null,
  },
  {
    schema: { type: "object", properties: null, required: null, items: null, description: null },
    yes: ["{}", '{"a": 1}'],
    no: ["[]"],
    draft: null,
  },
  {
    schema: {
      ...object({ a: { const: 1 } }, { required: ["a"] }),
      allOf: [object({ b: { const: 2 } })],
      unevaluatedProperties: false,
    },
    yes: ['{"a": 1, "b": 2}'],
    no: ['{"a": 1, "c": 2}'],
  },
  {
    schema: object({ a: { $ref: "#" }, b: { const: 1 } }, { additionalProperties: false }),
    yes: ['{"a": {"b": 1}}'],
    no: ['{"a": 1}'],
  },
  {
    schema: { anyOf: [object({ a: { $ref: "#" } }, { required: ["a"] }), { type: "null" }] },
    yes: ["null", '{"a": {"a": null}}'],
    no: ["{}"],
  },
];

const onOneString: readonly Case[] = [
  {
    schema: { type: "string", format: "date-time", pattern: "^20" },
    yes: ['"2024-02-29T10:00:00Z"'.replace("29", "28"), '"2099-12-31T23:59:59.5+01:00"'],
    no: ['"1999-01-01T00:00:00Z"', '"20"', '"2024"'],
  },
  {
    schema: { type: "string", format: "email", maxLength: 14, pattern: "@example\\.org$" },
    yes: ['"ab@example.org"'],
    no: ['"a@b.org"', '"@example.org"', '"someone@example.org"'],
  },
  {
    schema: {
      type: "string",
      allOf: [{ pattern: "a" }, { pattern: "b" }, { pattern: "^.{2,3}$" }],
    },
    yes: ['"ab"', '"xba"'],
    no: ['"aa"', '"abcd"'],
  },
  {
    // What zod makes of z.email().
    schema: {
      type: "string",
      format: "email",
      pattern:
        "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$",
    },
    yes: ['"a.b@example.org"'],
    no: ['".a@example.org"', '"a..b@example.org"', '"a"'],
  },
  {
    // What pydantic makes of a Decimal.
    schema: { type: "string", pattern: "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$" },
    yes: ['"1.5"', '"-0"', '"+.5"'],
    no: ['""', '"-."', '"1e5"'],
  },
  {
    schema: { type: "string", pattern: "@" },
    yes: ['"a@b"', '"@"'],
    no: ['"ab"'],
  },
  {
    schema: { type: "string", pattern: "(^a|b$)" },
    yes: ['"ax"', '"xb"'],
    no: ['"xa"', '"bx"'],
  },
  {
    // A date and time without a zone, which the format would have.
    schema: {
      type: "string",
      format: "date-time",
      pattern: "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d$",
    },
    yes: ['"2024-01-01T10:00"'],
    no: ['"2024-01-01T10:00:00Z"'],
  },
];

function enforces(t: ExecutionContext, { schema, yes, no, draft }: Case): void {
  const accepts = accepter(schemaGrammar(schema, { isStrict: true }).grammar);
  const ajv = draft === undefined ? ajv2020 : draft === null ? null : ajv7;
  for (const text of yes) {
    t.true(accepts(text), text);
    if (ajv !== null) t.true(ajv.validate(schema, JSON.parse(text)), text);
  }
  for (const text of no) t.false(accepts(text), text);
}

function shown({ schema }: Case): string {
  return JSON.stringify(schema).slice(0, 100);
}

for (const item of references) {
  test(`E01: the references of ${shown(item)} are followed`, (t) => enforces(t, item));
}

for (const item of decidable) {
  test(`E02: ${shown(item)} is enforced`, (t) => enforces(t, item));
}

for (const item of onOneString) {
  test(`E04: all that ${shown(item)} says is enforced`, (t) => enforces(t, item));
}

test("E01: a fragment that is neither a pointer nor a name is refused, naming the place", (t) => {
  for (const $ref of ["#x", "#properties/a", "other.json", "#/%zz", 5]) {
    const compile = () => schemaGrammar(object({ a: { $ref } }), { isStrict: false });
    t.is(t.throws<GrammarTextError>(compile).path, ".properties.a");
  }
});

const undecidable: readonly (readonly [schema: Record<string, unknown>, string[], yes: string])[] =
  [
    [object({ a: { type: "string", pattern: "\\bx" } }), [".properties.a.pattern"], '{"a": "y"}'],
    [
      object({ a: { type: "string", pattern: "(.)\\1", maxLength: 2 } }),
      [".properties.a.pattern"],
      '{"a": "yz"}',
    ],
    [
      { type: "array", uniqueItems: true, items: { type: "string" } },
      [".uniqueItems"],
      '["a", "a"]',
    ],
    [{ type: "array", maxItems: 1, not: { items: { type: "string" } } }, [".not"], '["a"]'],
    [object({ a: { type: "null", maxlength: 3 } }), [".properties.a.maxlength"], '{"a": null}'],
    [{ if: { patternProperties: {} }, then: false, type: "object" }, [".if"], "{}"],
    [
      { type: "object", patternProperties: { "(?<=a)b": {}, "^c": { type: "null" } } },
      [".patternProperties"],
      '{"c": null}',
    ],
    [
      { allOf: [{ type: "object", unevaluatedProperties: false }, { maxProperties: 0 }] },
      [".allOf[0].unevaluatedProperties"],
      "{}",
    ],
  ];

for (const [schema, places, text] of undecidable) {
  test(`E03: of ${JSON.stringify(schema).slice(0, 90)} the rest is enforced, or with strict it is refused`, (t) => {
    const { grammar, unenforced } = schemaGrammar(schema, { isStrict: false });
    t.deepEqual(unenforced, places);
    const accepts = accepter(grammar);
    t.true(accepts(text));
    t.false(accepts("1"));
    const { path } = t.throws<GrammarTextError>(() => schemaGrammar(schema, { isStrict: true }));
    t.true(places[0]!.startsWith(path), path);
  });
}
