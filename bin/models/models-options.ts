import { z } from "zod";

const cacheDir = z
  .string()
  .optional()
  .describe("Folder of downloaded models. Unset: SEAP_CACHE_DIR, or the user's cache folder.");

/** `seap models`. */
export const listSchema = z.strictObject({ cacheDir });

/** `seap models fetch`. */
export const fetchSchema = z.strictObject({
  cacheDir,
  acceptLicense: z
    .string()
    .default("")
    .transform((text) => text.split(",").map((name) => name.trim()))
    .describe("Names of models whose licenses you have read and accept, separated by commas."),
});
