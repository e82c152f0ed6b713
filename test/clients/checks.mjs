/** The server under test and what the clients ask it for, as main.mjs set them. */
export const baseURL = process.env.SEAP_TEST_URL;
export const apiKey = process.env.SEAP_TEST_KEY;
export const model = "tiny";

/** Runs one check and says how it went, in a line that main.mjs counts. */
export async function check(name, run) {
  try {
    await run();
    console.log(`PASS ${name}`);
  } catch (error) {
    const reason = String(error?.stack ?? error).replaceAll("\n", "\n     ");
    console.log(`FAIL ${name}: ${reason}`);
  }
}
