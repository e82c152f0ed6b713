import { readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import test, { type ExecutionContext } from "ava";
import { z } from "zod";
import { schemaGrammar } from "../../../server/structured/json-schema.ts";
import { randomText } from "../../helpers/random-text.ts";

type Schema = Record<string, unknown>;
type ZodModels = Readonly<Record<string, z.ZodType>>;

// Formats are only known to the validators of zod's own schemas.
const ajv = new Ajv2020({ strict: false, validateFormats: false, multipleOfPrecision: 9 });

/** Ordinary models of applications, which the clients are tried with too. */
async function zodModels(): Promise<[name: string, model: z.ZodType][]> {
  const from = (name: string) =>
    import(new URL(`../../../../test/clients/models/${name}.mjs`, import.meta.url).href);
  const { records } = (await from("zod-records")) as { records: ZodModels };
  const { actions } = (await from("zod-actions")) as { actions: ZodModels };
  return Object.entries({ ...records, ...actions });
}

/** @returns texts that came to an end, as values */
function valuesOf(t: ExecutionContext, name: string, schema: Schema): unknown[] {
  const { grammar, unenforced } = schemaGrammar(schema, { isStrict: true });
  t.deepEqual(unenforced, [], name);
  return [0, 1, 2].flatMap((seed) => {
    const text = randomText(grammar, seed)?.toString();
    return text === undefined ? [] : [JSON.parse(text) as unknown];
  });
}

/** What zod asks of it is not in the schema: the protocol. */
const beyondSchema = new Set(["Link"]);

test("E02: 60 models of zod are enforced whole, and what comes of them is what zod takes", async (t) => {
  const models = await zodModels();
  t.is(models.length, 60);
  let numValues = 0;
  for (const [name, model] of models) {
    for (const value of valuesOf(t, name, z.toJSONSchema(model))) {
      numValues++;
      const { error } = model.safeParse(value);
      if (error && !beyondSchema.has(name))
        t.fail(`${name} allows ${JSON.stringify(value)}: ${z.prettifyError(error)}`);
    }
  }
  t.true(numValues > 100, `${numValues} values`);
});

test("E02: 60 models of pydantic are enforced whole, as it prints them and as strict tools", (t) => {
  const models = JSON.parse(readFileSync("test/fixtures/pydantic-schemas.json", "utf8")) as Record<
    string,
    { readonly plain: Schema; readonly strict: Schema | null }
  >;
  t.is(Object.keys(models).length, 60);
  let numValues = 0;
  for (const [name, { plain, strict }] of Object.entries(models)) {
    for (const schema of [plain, ...(strict === null ? [] : [strict])]) {
      const validate = ajv.compile(schema);
      for (const value of valuesOf(t, name, schema)) {
        numValues++;
        if (!validate(value)) t.fail(`${name} allows ${JSON.stringify(value)}`);
      }
    }
  }
  t.true(numValues > 200, `${numValues} values`);
});
