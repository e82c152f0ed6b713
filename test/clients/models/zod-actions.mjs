import { z } from "zod";

// What agents do: calls, queries, changes, and formats of the network.

const text = z.string().max(16);
const id = z.string().regex(/^[a-z]{2,8}_[0-9]{3}$/);
const base = z.object({ id, dryRun: z.boolean() });

const expression = z.discriminatedUnion("op", [
  z.object({ op: z.literal("number"), value: z.int().min(0).max(99) }),
  z.object({
    op: z.literal("add"),
    get left() {
      return expression;
    },
    get right() {
      return expression;
    },
  }),
]);
const filter = z.object({
  field: z.enum(["name", "date"]),
  operator: z.enum(["=", "<", ">="]),
  value: z.union([text, z.number()]),
});

/** Ordinary models by name. */
export const actions = {
  Search: z.object({
    query: z.string().describe("What to look for").max(20),
    limit: z.number().int().min(1).max(50).optional().default(10),
    sort: z.enum(["asc", "desc"]).nullable().describe("The order"),
  }),
  SqlQuery: z.object({ table: z.enum(["users", "orders"]), where: z.array(filter).max(2) }),
  Shape: z.object({
    shape: z.discriminatedUnion("type", [
      z.object({ type: z.literal("circle"), radius: z.number().positive().max(10) }),
      z.object({ type: z.literal("square"), side: z.number().positive().max(10) }),
    ]),
  }),
  Event: z.object({
    event: z.discriminatedUnion("type", [
      z.object({ type: z.literal("created"), at: z.iso.datetime() }),
      z.object({ type: z.enum(["moved", "copied"]), to: text }),
      z.object({ type: z.literal("deleted") }),
    ]),
  }),
  Payment: z.object({
    method: z.union([
      z.object({ card: z.string().regex(/^\d{16}$/), cvc: z.string().regex(/^\d{3}$/) }),
      z.object({ iban: z.string().regex(/^[A-Z]{2}\d{2}[A-Z0-9]{11,30}$/) }),
    ]),
    amount: z.number().positive().max(10_000),
  }),
  Expression: z.object({ expression }),
  Create: base.extend({ name: text }),
  Merged: z.object({ both: z.intersection(base, z.object({ note: text })) }),
  Strict: z.strictObject({ id, tags: z.array(z.enum(["x", "y"])).max(2) }),
  Loose: z.looseObject({ id }),
  Catchall: z.object({ id }).catchall(z.int().min(0).max(9)),
  Empty: z.object({}),
  Command: z.object({
    command: z.tuple([z.literal("run"), z.enum(["build", "test"])]),
    env: z.record(z.string().regex(/^[A-Z_]{1,8}$/), z.string().max(8)),
    timeoutMs: z.int().min(100).max(60_000).nullable(),
  }),
  Patch: z.object({
    operations: z
      .array(
        z.discriminatedUnion("op", [
          z.object({ op: z.literal("add"), path: text, value: z.int().min(0).max(9) }),
          z.object({ op: z.literal("remove"), path: text }),
        ]),
      )
      .min(1)
      .max(2),
  }),
  Schedule: z.object({ every: z.iso.duration(), text }),
  Host: z.object({ name: text.nullable(), address: z.union([z.ipv4(), z.ipv6()]) }),
  Network: z.object({ block: z.cidrv4(), mac: z.mac() }),
  Link: z.object({ url: z.httpUrl(), label: text.optional() }),
  Token: z.object({ jti: z.nanoid(), sub: z.cuid2().max(12), ulid: z.ulid() }),
  Blob: z.object({ data: z.base64().max(16), name: text }),
  Digest: z.object({ md5: z.hash("md5"), size: z.int32().nonnegative() }),
  Pixel: z.object({ red: z.uint32().max(255), alpha: z.float32().min(0).max(1) }),
  Size: z.object({ width: z.templateLiteral([z.int().min(1).max(99), z.enum(["px", "em"])]) }),
  Path: z.object({ path: z.string().startsWith("/").endsWith(".txt").max(20) }),
  Version: z.object({ version: z.string().regex(/^\d+\.\d+\.\d+(-[0-9a-z.]{1,8})?$/) }),
  Slug: z.object({
    slug: z
      .string()
      .min(3)
      .max(12)
      .regex(/^[a-z0-9-]+$/),
  }),
  Step: z.object({ by: z.int().multipleOf(5).min(0).max(100) }),
  Plan: z.object({
    thought: z.string().max(30),
    steps: z.array(z.object({ tool: z.enum(["search", "write"]), input: text })).max(2),
    done: z.boolean(),
  }),
  Extraction: z.object({
    people: z.array(z.object({ name: text, role: z.enum(["author", "editor"]).nullish() })).max(2),
    date: z.iso.date().nullable(),
    amounts: z.array(z.number().min(0).max(999)).max(2),
  }),
  Json: z.object({ payload: z.record(z.string().max(4), z.json()) }),
};
