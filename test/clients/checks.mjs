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

/** The id of the token that ends an answer, as `logit_bias` names it. */
export async function endToken() {
  const response = await fetch(`${baseURL.replace(/\/v1$/, "")}/tokenize`, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    body: JSON.stringify({ prompt: "<|im_end|>", add_special_tokens: false }),
  });
  const { tokens } = await response.json();
  return String(tokens[0]);
}
