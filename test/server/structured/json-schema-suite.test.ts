import test from "ava";
import { GrammarTextError } from "../../../server/structured/grammar-text-error.ts";
import { schemaGrammar } from "../../../server/structured/json-schema.ts";
import { jsonText } from "../../../server/structured/json-text.ts";
import { accepter } from "../../helpers/grammar-texts.ts";
import {
  inAllOrders,
  outspoken,
  suiteGroups,
  type SuiteGroup,
} from "../../helpers/schema-suite.ts";

/** Keywords of OpenAI's and of vLLM's structured outputs, as the suite names its files. */
const supported = new Set(
  (
    "type enum const boolean_schema anyOf allOf oneOf ref defs definitions anchor properties required " +
    "additionalProperties patternProperties propertyNames minProperties maxProperties items prefixItems " +
    "additionalItems minItems maxItems minLength maxLength pattern format minimum maximum exclusiveMinimum " +
    "exclusiveMaximum multipleOf default infinite-loop-detection"
  ).split(" "),
);

/** Why schemas are refused, by what is said of it. */
const refusals: readonly (readonly [message: RegExp, reason: string])[] = [
  [/refers to no part of this schema/, "it refers to another document"],
  [/\$dynamicRef is not supported/, "what it refers to depends on how it was come to"],
  [/unevaluated(Items|Properties) is not supported/, "what is evaluated depends on other schemas"],
  [/(not|if) is not supported/, "the negation of a keyword that has none here"],
  [/uniqueItems is not supported/, "items that are not a few listed values must differ"],
  [/contains is not supported/, "items of several kinds must be there"],
  [/multiples of .* are not supported/, "multiples of a number with many digits"],
];

/** Valid values that are not allowed, and invalid ones that are, where the reason is not found by itself. */
const deviations: Readonly<Record<string, string>> = {
  "draft2020-12 unevaluatedItems: unevaluatedItems depends on adjacent contains":
    "items that only `contains` speaks of count as not evaluated",
  "draft2020-12 unevaluatedItems: unevaluatedItems can see annotations from if without then and else":
    "`if` alone does nothing",
  "draft2020-12 unevaluatedProperties: unevaluatedProperties can see annotations from if without then and else":
    "`if` alone does nothing",
  "draft2020-12 vocabulary: schema that uses custom metaschema with with no validation vocabulary":
    "metaschemas are not read",
  "draft7 ref: ref overrides any sibling keywords":
    "what is beside a reference holds, as since 2019",
  "draft7 ref: $ref prevents a sibling $id from changing the base uri":
    "what is beside a reference holds, as since 2019",
};

type Accepts = (value: unknown) => boolean;

interface Compiled {
  readonly accepts: Accepts;
  readonly unenforced: readonly string[];
}

/** A value is accepted where it is in some order of its properties: the grammar has one order, which is not the suite's. */
function compile(schema: unknown): Compiled {
  const { grammar, unenforced } = schemaGrammar(schema, { isStrict: true });
  const isText = accepter(grammar);
  const accepts = (value: unknown) =>
    [...inAllOrders(value)].some((order) => isText(jsonText(order)));
  return { accepts, unenforced };
}

function tryToCompile(schema: unknown): Compiled | GrammarTextError {
  try {
    return compile(schema);
  } catch (error) {
    if (error instanceof GrammarTextError) return error;
    throw error;
  }
}

/** Null where there is none. */
function reasonOfRefusal(group: SuiteGroup, { message }: GrammarTextError): string | null {
  const known = refusals.find(([pattern]) => pattern.test(message));
  if (known !== undefined) return known[1];
  if (!/allows something/.test(message)) return null;
  if (group.tests.every(({ valid }) => !valid)) return "there is no such value";
  return tryToCompile(outspoken(group.schema)) instanceof GrammarTextError
    ? null
    : "there is none of the type that it speaks of";
}

function reasonOfDeviation(
  group: SuiteGroup,
  { unenforced }: Compiled,
  { data, valid }: SuiteGroup["tests"][number],
): string | null {
  if (!valid && unenforced.some((path) => path.endsWith(".oneOf")))
    return "oneOf is taken as anyOf";
  if (valid) {
    const wide = tryToCompile(outspoken(group.schema));
    if ("accepts" in wide && wide.accepts(data))
      return "the schema leaves it open, and is closed here";
  }
  return deviations[nameOf(group)] ?? null;
}

function nameOf({ draft, keyword, description }: SuiteGroup): string {
  return `${draft} ${keyword}: ${description}`;
}

function percent(part: number, all: number): string {
  return `${((100 * part) / all).toFixed(1)} % of ${all} tests`;
}

for (const draft of ["draft2020-12", "draft7"] as const) {
  test(`E02: schemas of the JSON-Schema-Test-Suite, ${draft}, are enforced to the letter, or there is a known reason`, (t) => {
    const counts = { all: 0, compiled: 0, supported: 0, supportedCompiled: 0 };
    const reasons = new Map<string, number>();
    const count = (reason: string, number = 1) =>
      reasons.set(reason, (reasons.get(reason) ?? 0) + number);
    for (const group of suiteGroups(draft)) {
      const { tests, keyword } = group;
      const isSupported = supported.has(keyword);
      counts.all += tests.length;
      if (isSupported) counts.supported += tests.length;
      const compiled = tryToCompile(group.schema);
      if (compiled instanceof GrammarTextError) {
        const reason = reasonOfRefusal(group, compiled);
        if (reason === null) t.fail(`${nameOf(group)} is refused: ${compiled.message}`);
        else count(`refused: ${reason}`, tests.length);
        continue;
      }
      counts.compiled += tests.length;
      if (isSupported) counts.supportedCompiled += tests.length;
      for (const item of tests) {
        if (compiled.accepts(item.data) === item.valid) continue;
        const reason = reasonOfDeviation(group, compiled, item);
        const what = item.valid ? "not allowed" : "allowed";
        if (reason === null) t.fail(`${nameOf(group)}, ${item.description}: ${what}`);
        else count(`${what}: ${reason}`);
      }
    }
    t.log(`compiled: ${percent(counts.compiled, counts.all)} of all keywords`);
    t.log(`compiled: ${percent(counts.supportedCompiled, counts.supported)} of supported keywords`);
    for (const [reason, number] of [...reasons].sort()) t.log(`${number} ${reason}`);
    t.true(counts.supportedCompiled / counts.supported > 0.95);
    t.true(counts.compiled / counts.all > 0.8);
  });
}
