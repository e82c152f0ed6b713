import { check } from "./checks.mjs";
import { runQuietly } from "./programs.mjs";

/** Others than in the tests, and with these 20,000 bodies and frames. */
const seed = process.env.SEAP_FUZZ_SEED ?? "2027";
const numBodies = Number(process.env.SEAP_FUZZ_MESSAGES ?? 8000);

await check(
  `no crash, no 5xx and nothing left of ${2 * numBodies} malformed messages`,
  async () => {
    const ava = ["node_modules/ava/entrypoints/cli.mjs", "dist/test/e2e/malformed.test.js"];
    const output = await runQuietly(process.execPath, ava, {
      env: { SEAP_FUZZ_MESSAGES: String(numBodies), SEAP_FUZZ_SEED: seed },
    });
    console.log(output.trim());
  },
);
