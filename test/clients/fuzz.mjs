import { check } from "./checks.mjs";
import { runQuietly } from "./programs.mjs";

/** Bodies, and as many frames; five times as many as in the tests. */
const numBodies = Number(process.env.SEAP_FUZZ_MESSAGES ?? 10_000);

await check(
  `no crash, no 5xx and nothing left of ${2 * numBodies} malformed messages`,
  async () => {
    const ava = ["node_modules/ava/entrypoints/cli.mjs", "dist/test/e2e/malformed.test.js"];
    const output = await runQuietly(process.execPath, ava, {
      env: { SEAP_FUZZ_MESSAGES: String(numBodies) },
    });
    console.log(output.trim());
  },
);
