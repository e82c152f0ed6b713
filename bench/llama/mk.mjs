// Makes model-answers.json: what llama.cpp says of the named models, computed from the same files that the server reads.
//
// For each model: 20 conversations, as the server's template writes them and as llama.cpp tokenizes that, with the next
// 24 tokens by greedy choice; and log-probabilities of the tokens of a text. The keys and values of llama.cpp are fp32
// here, so that what is left are its activations, which it rounds to 8 bits before each product.
//
//     npm run build
//     npm install --prefix /tmp/reference node-llama-cpp@3.22.1
//     cp make-model-answers.mjs /tmp/reference/
//     node /tmp/reference/make-model-answers.mjs <repository> <name=file.gguf> …

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { getLlama } from "node-llama-cpp";

const version = "3.22.1";
const numAnswerTokens = 24;
const [repository, ...models] = process.argv.slice(2);
const load = (file) => import(pathToFileURL(resolve(repository, "dist", file)).href);
const { openTokenizer } = await load("model/weights/open-model.js");
const { createTokenizer } = await load("model/text/tokenizer.js");
const { createChatTemplate } = await load("model/text/chat-template.js");

const questions = [
  "What is the capital of France?",
  "Write a Python function that reverses a string.",
  "What is 17 + 25?",
  "Translate to German: The weather is nice today.",
  "List three prime numbers larger than 10.",
  "Write a SQL query that counts the rows of the table users.",
  "Why is the sky blue?",
  "Write a JavaScript function that returns the largest number of an array.",
  "Who wrote Romeo and Juliet?",
  "Give me a rhyme about the sea.",
  "What does HTTP status 404 mean?",
  "Explain recursion in one sentence.",
  "Convert 100 degrees Fahrenheit to Celsius.",
  "Write a regular expression for an e-mail address.",
  "What is the largest planet of the solar system?",
  "Écris une phrase sur le printemps.",
  "Fix this code: for i in range(10) print(i)",
  "Name the opposite of the word 'generous'.",
  "How many days has a leap year?",
  "日本の首都はどこですか。",
];

const text = `The river rises in the hills above the old town, where three springs meet under a stone arch. In summer it
is hardly more than a brook; children cross it on flat stones and catch small fish with their hands. In autumn, when the
rain has fallen for a week, it carries branches and leaves, and the miller opens his gate by half. He keeps a book in which
every flood has a line: the year, the day, the height of the water at the third post. His grandfather began it in 1871.

def flood_height(levels: list[float], post: int = 3) -> float:
    """Return the largest level that was measured at a post, in metres."""
    if not levels:
        raise ValueError("expected at least one level")
    return max(level for level in levels if level >= 0) + 0.25 * post

The sum of 12 and 30 is 42, and 42 divided by 6 is 7. If the water rises by 7 cm in an hour, it takes 6 hours until it
stands 42 cm higher than before; the miller then has time enough to carry his flour upstairs and to close the door.`;

const results = {};
for (const model of models) {
  const [name, path] = model.split("=");
  results[name] = await answersOf(path);
  console.error(name);
}
const made = { by: `node-llama-cpp ${version}`, script: "make-model-answers.mjs" };
const target = join(repository, "test/fixtures/model-answers.json");
writeFileSync(target, `${JSON.stringify({ made, models: results })}\n`);
process.exit(0);

async function answersOf(modelPath) {
  const source = openTokenizer(modelPath);
  const template = createChatTemplate(source, createTokenizer(source));
  const llama = await getLlama({ gpu: false, build: "never", skipDownload: true, maxThreads: 2 });
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({
    contextSize: 1024,
    threads: 2,
    flashAttention: false,
    experimentalKvCacheKeyType: "F32",
    experimentalKvCacheValueType: "F32",
  });
  const sequence = context.getSequence();
  const prompts = [];
  for (const question of questions) {
    const rendered = template.render([{ role: "user", content: question }], {
      addGenerationPrompt: true,
    });
    const tokenIds = [...model.tokenize(rendered, true)];
    const answer = [];
    await sequence.clearHistory();
    let input = tokenIds;
    while (answer.length < numAnswerTokens) {
      const [next] = await next1(sequence, input);
      answer.push(next);
      input = [next];
    }
    prompts.push({ question, tokenIds, answer });
  }
  await sequence.clearHistory();
  const tokenIds = [...model.tokenize(text, false)].slice(0, 201);
  if (model.tokens.shouldPrependBosToken) tokenIds.unshift(model.tokens.bos);
  const options = { generateNext: { probabilities: true } };
  const outputs = await sequence.controlledEvaluate(tokenIds.map((id) => [id, options]));
  const logprobs = outputs
    .slice(0, -1)
    .map(({ next }, i) =>
      Number(Math.log(next.probabilities.get(tokenIds[i + 1]) ?? 0).toFixed(4)),
    );
  await llama.dispose();
  const sha256 = createHash("sha256").update(readFileSync(modelPath)).digest("hex");
  return { sha256, prompts, text: { tokenIds, logprobs } };
}

/** The most likely token after what is given, with the sequence before it. */
async function next1(sequence, ids) {
  const input = ids.map((id, i) =>
    i === ids.length - 1
      ? [id, { generateNext: { token: true, options: { temperature: 0 } } }]
      : id,
  );
  const outputs = await sequence.controlledEvaluate(input);
  return [outputs.at(-1).next.token];
}
