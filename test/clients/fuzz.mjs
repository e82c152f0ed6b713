import { check } from "./checks.mjs";
import { runQuietly } from "./programs.mjs";

// Ten times as many as in the tests; half of them are bodies, half frames.
const numMessages = 20_000;

await check(`no crash, no 5xx and nothing left of ${numMessages} malformed messages`, async () => {
  const ava = ["node_modules/ava/entrypoints/cli.mjs", "dist/test/e2e/malformed.test.js"];
  const output = await runQuietly(process.execPath, ava, {
    SEAP_FUZZ_MESSAGES: String(numMessages / 2),
  });
  console.log(output.trim());
});
