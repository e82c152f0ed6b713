import { z } from "zod";

// What applications keep: people, orders, documents. Strings mostly have a limit, so that noise comes to an end.

const name = z.string().min(1).max(20);
const address = z.object({
  street: name,
  city: name.optional(),
  zip: z.string().regex(/^\d{5}(-\d{4})?$/),
  country: z.enum(["DE", "FR", "US"]),
});
const money = z.object({ amount: z.number().min(0).max(1000), currency: z.enum(["EUR", "USD"]) });
const tag = z.string().regex(/^[a-z][a-z0-9-]{0,11}$/);

const category = z.object({
  label: name,
  get children() {
    return z.array(category).max(2);
  },
});
const comment = z.object({
  text: name,
  get replies() {
    return z.array(comment).max(1).nullable();
  },
});
const fileEntry = z.object({ kind: z.literal("file"), bytes: z.int().nonnegative() });
const folderEntry = z.object({
  kind: z.literal("folder"),
  get entries() {
    return z.array(z.union([fileEntry, folderEntry])).max(2);
  },
});
const linked = z.object({
  value: z.int().min(0).max(9),
  get next() {
    return linked.nullable();
  },
});

/** Ordinary models by name. */
export const records = {
  Person: z.object({ name, age: z.int().min(0).max(130), email: z.email().nullable() }),
  Address: address,
  Customer: z.object({ id: z.uuid(), address, vip: z.boolean().default(false) }),
  Order: z.object({
    id: z.uuidv4(),
    lines: z.array(z.object({ sku: tag, quantity: z.int().positive().max(99) })).max(3),
    total: money,
  }),
  Invoice: z.object({
    number: z.string().regex(/^INV-\d{6}$/),
    issued: z.iso.date(),
    due: z.iso.date().nullish(),
    paid: z.boolean(),
    sum: money.nullable(),
  }),
  Appointment: z.object({ start: z.iso.datetime(), end: z.iso.datetime(), title: name }),
  Flight: z.object({
    number: z.string().regex(/^[A-Z]{2}\d{1,4}$/),
    from: z
      .string()
      .length(3)
      .regex(/^[A-Z]+$/),
    to: z.string().length(3).toUpperCase(),
    departure: z.iso.datetime({ offset: true }),
  }),
  Reminder: z.object({ at: z.iso.time(), days: z.array(z.enum(["mon", "tue", "wed"])).max(3) }),
  Product: z.object({
    name,
    price: z.number().multipleOf(0.01).min(0).max(100),
    tags: z.array(tag).min(1).max(3),
    stock: z.int().nonnegative(),
  }),
  Review: z.object({
    stars: z.literal([1, 2, 3, 4, 5]),
    text: z.string().max(30),
    helpful: z.int().min(0).max(999).optional(),
  }),
  Settings: z.object({
    theme: z.enum(["light", "dark"]).default("light"),
    fontSize: z.int().min(8).max(32).default(12),
    language: z.string().length(2).default("en"),
  }),
  Category: category,
  Comment: comment,
  Folder: folderEntry,
  LinkedList: linked,
  Contact: z.object({
    emails: z.array(z.email()).max(2),
    phone: z.e164().nullable(),
    site: z.url().nullable(),
  }),
  Recipe: z.object({
    title: name,
    minutes: z.int().min(1).max(240),
    steps: z.array(z.string().min(1).max(20)).min(1).max(3),
    diet: z.enum(["vegan", "vegetarian", "any"]).nullable(),
  }),
  Survey: z.object({
    answers: z.array(z.union([z.boolean(), z.int().min(1).max(5), z.string().max(10)])).max(4),
  }),
  Grades: z.object({ grades: z.record(z.string().max(8), z.number().min(0).max(100)) }),
  Translations: z.object({ texts: z.record(z.enum(["de", "fr"]), name) }),
  Inventory: z.object({ counts: z.partialRecord(z.enum(["a", "b", "c"]), z.int().min(0).max(9)) }),
  Metadata: z.object({
    labels: z.record(tag, z.union([z.string().max(8), z.number(), z.boolean(), z.null()])),
  }),
  Point: z.object({ at: z.tuple([z.number().min(-180).max(180), z.number().min(-90).max(90)]) }),
  Range: z.object({ range: z.tuple([z.int(), z.int()]).nullable(), unit: z.literal("days") }),
  Row: z.object({ cells: z.tuple([tag], z.int().min(0).max(9)) }),
  Matrix: z.object({
    rows: z.array(z.array(z.number().min(0).max(1)).length(2)).length(2),
  }),
  Employee: z
    .object({ name, salary: z.number().gt(0).lt(100_000) })
    .extend({ manager: z.object({ name }).nullable() }),
  Ticket: z.object({
    priority: z.enum({ Low: 0, High: 1 }),
    status: z.union([z.literal("open"), z.literal("closed"), z.null()]),
    labels: z.array(z.string().max(6)).max(2).readonly(),
  }),
  Partial: z.object({ name, age: z.int().max(99).min(0) }).partial(),
  // What z.email() was in the first versions of zod 4.
  Account: z.object({
    email: z
      .string()
      .regex(
        /^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+.-]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9-]*\.)+[A-Za-z]{2,}$/,
      ),
  }),
};
