import { z } from "zod";
import { text } from "../../server/config/config-values.ts";

const url = text()
  .default("http://127.0.0.1:8000")
  .transform((value) => value.replace(/\/+$/, ""))
  .describe("Where the server is.");

const apiKey = text()
  .optional()
  .describe(
    "Key, where the server asks for one. Unset: the first of the variable SEAP_API_KEY, if there is one.",
  );

export const listSchema = z.strictObject({
  url,
  apiKey,
  watch: z.boolean().default(false).describe("Go on showing them, once a second, until Ctrl-C."),
});

export const commandSchema = z.strictObject({ url, apiKey });
