/**
 * Random schemas of what is supported, the same for the same seed.
 * @param isWide - also with keywords that few write, and combinations that may allow nothing
 */
export function randomSchema(seed: number, isWide = false): Record<string, unknown> {
  let state = seed * 2_654_435_761;
  const random = (count: number): number => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0;
    return (state >>> 8) % count;
  };
  const pick = <Item>(items: readonly Item[]): Item => items[random(items.length)]!;
  const chance = (percent: number): boolean => random(100) < percent;

  const string = (): object => {
    switch (random(6)) {
      case 0:
        return { type: "string", minLength: random(3), maxLength: 3 + random(6) };
      case 1:
        return { type: "string", pattern: pick(patterns) };
      case 2:
        return {
          type: "string",
          format: pick(["date", "date-time", "uuid", "ipv4", "email", "x"]),
        };
      default:
        return { type: "string" };
    }
  };
  const number = (): object => {
    const type = pick(["integer", "number"]);
    const low = random(2000) / pick([1, 10, 100]) - pick([0, 5, 500]);
    const high = low + 1 + random(300) / pick([1, 10]);
    return {
      type,
      ...(chance(40) && { [pick(["minimum", "exclusiveMinimum"])]: round(low) }),
      ...(chance(40) && { [pick(["maximum", "exclusiveMaximum"])]: round(high + 2) }),
    };
  };
  const object = (depth: number): object => {
    const names = ["id", "name", 'a "quoted" key', "naïve", "x\\y", "list"].slice(random(3));
    const properties = Object.fromEntries(
      names.slice(0, 1 + random(4)).map((name) => [name, schema(depth + 1)]),
    );
    const required = Object.keys(properties).filter(() => chance(60));
    return {
      type: "object",
      properties,
      ...(chance(80) && { required: chance(10) ? [...required, "more"] : required }),
      ...(!required.includes("more") && chance(30) && { additionalProperties: schema(depth + 1) }),
    };
  };
  const array = (depth: number): object => {
    const min = random(3);
    return {
      type: "array",
      ...(chance(80) && { items: schema(depth + 1) }),
      ...(chance(20) && { prefixItems: [schema(depth + 1), schema(depth + 1)] }),
      ...(chance(50) && { minItems: min }),
      ...(chance(50) && { maxItems: min + random(4) }),
    };
  };
  /** Of what is seldom written; `a` is a property that others speak of. */
  const rare = (depth: number): object => {
    const a = { enum: ["x", "y", 1, null] };
    switch (random(16)) {
      case 0:
        return {
          type: "string",
          pattern: pick(searches),
          minLength: random(4),
          maxLength: 3 + random(6),
        };
      case 1:
        return {
          type: "string",
          allOf: [{ pattern: pick(searches) }, { pattern: pick(searches) }],
        };
      case 2:
        return { type: "string", not: { enum: ["a", "ab", ""] }, maxLength: 2 };
      case 3:
        return { type: "integer", multipleOf: pick([2, 3, 7, 10, 25]), minimum: -random(500) };
      case 4:
        return {
          type: "number",
          multipleOf: pick([0.5, 0.25, 0.1]),
          minimum: 0,
          maximum: random(90),
        };
      case 5:
        return {
          type: "object",
          properties: { a, "x-1": { type: "integer" } },
          patternProperties: { "^x-": { minimum: -5 }, y$: { type: "boolean" } },
          ...(chance(50) && { additionalProperties: schema(depth + 1) }),
        };
      case 6:
        return {
          type: "object",
          additionalProperties: schema(depth + 1),
          propertyNames: pick([
            { pattern: "^[a-c]{1,2}$" },
            { enum: ["k", "l"] },
            { maxLength: 2 },
          ]),
          minProperties: random(3),
        };
      case 7:
        return {
          type: "object",
          properties: { a, b: schema(depth + 1), c: {} },
          minProperties: random(3),
          maxProperties: 2,
        };
      case 8:
        return {
          type: "object",
          properties: { a, b: { type: "boolean" }, c: { type: "null" } },
          dependentRequired: { a: ["b"], b: ["c"] },
          dependentSchemas: { c: { required: ["a"] } },
        };
      case 9:
        return {
          type: "object",
          properties: { a, b: { type: ["string", "integer"] } },
          required: ["a"],
          if: { properties: { a: { enum: ["x", 1] } } },
          then: { properties: { b: { type: "integer" } }, required: ["b"] },
          else: { properties: { b: { minLength: 2 } } },
        };
      case 10:
        return { type: "array", items: a, uniqueItems: true, minItems: random(3), maxItems: 3 };
      case 11:
        return {
          type: "array",
          items: a,
          contains: { type: "string" },
          minContains: 1 + random(2),
          ...(chance(50) && { maxContains: 2 }),
        };
      case 12:
        return {
          not: { type: pick(["string", "object", "array"]) },
          type: ["string", "array", "null"],
        };
      case 13:
        return { anyOf: [a, { type: "integer" }], not: { const: pick([1, 2]) } };
      case 14:
        return { $ref: "#/$defs/leaf", required: ["v"], minProperties: 1 };
      default:
        return {
          allOf: [
            { type: "object", properties: { a, b: { minimum: 3 } } },
            {
              anyOf: [
                { properties: { b: { type: "integer" } }, required: ["b"] },
                { required: ["a"] },
              ],
            },
          ],
          unevaluatedProperties: false,
        };
    }
  };
  const schema = (depth: number): Record<string, unknown> => {
    const made = (): object => {
      if (isWide && chance(40)) return rare(depth);
      switch (random(depth > 2 ? 6 : 12)) {
        case 0:
          return string();
        case 1:
        case 2:
          return number();
        case 3:
          return { type: pick(["boolean", "null"]) };
        case 4:
          return { enum: [1, "two", null, { three: [3] }, 'f"our'].slice(random(4)) };
        case 5:
          return { const: pick([7.5, "fixed", [1, 2]]) };
        case 6:
          return { type: [pick(["string", "integer"]), "null"] };
        case 7:
          return { anyOf: [schema(depth + 1), schema(depth + 1)] };
        case 8:
          return array(depth);
        case 9:
          return { $ref: "#/$defs/leaf" };
        default:
          return object(depth);
      }
    };
    return { ...made(), ...(chance(20) && { description: "of something" }) };
  };
  return { ...object(0), $defs: { leaf: { type: "object", properties: { v: number() } } } };
}

const patterns = [
  "^[a-z]{2,5}$",
  "^\\d{3}-\\d{4}$",
  "^(on|off)$",
  '^[^a]"?\\\\$',
  "^\\w+@\\S{1,3}$",
];

const searches = ["^a", "b$", "[0-9]", "^(?!b)[a-c]", "a|b", "^x?y*", "(?=.*a).b"];

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
