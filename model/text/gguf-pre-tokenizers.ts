/** How a byte-level vocabulary's text is cut into words, and what comes with it. */
export interface GgufPreTokenizer {
  /** Applied one after the other, each to the pieces the one before left. */
  readonly patterns: readonly string[];
  /** A word that is a token as a whole is not built by merges. */
  readonly wholeWords: boolean;
  /** Where the file does not say. */
  readonly addBos: boolean;
}

const contraction = "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]";
const upper = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const lower = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const spaces = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)";

/** `digits`: pattern of one piece of a number. */
function gpt4(digits: string): string {
  return `(?:${contraction})|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${spaces}`;
}

/** Words by case; `ending` may end one. */
function gpt4o(digits: string, ending: string): string {
  const lead = "[^\\r\\n\\p{L}\\p{N}]?";
  return `${lead}${upper}*${lower}+${ending}|${lead}${upper}+${lower}*${ending}|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${spaces}`;
}

const deepseek3 = [
  "\\p{N}{1,3}",
  "[一-龥぀-ゟ゠-ヿ]+",
  `[!"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_\`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|${spaces}`,
];

function plain(...patterns: string[]): GgufPreTokenizer {
  return { patterns, wholeWords: false, addBos: false };
}

const defaultPatterns = plain("[\\p{P}\\$\\+<=>\\^~\\|]+", gpt2, "\\p{N}+", "[0-9][0-9][0-9]");
const digitsThenGpt2 = plain("\\p{N}", gpt2);
const gpt2Only = plain(gpt2);
const llama3: GgufPreTokenizer = {
  patterns: [gpt4("\\p{N}{1,3}")],
  wholeWords: true,
  addBos: true,
};
const gpt4Words = plain(gpt4("\\p{N}{1,3}"));
const qwen2 = plain(gpt4("\\p{N}"));
const gpt4oWords = plain(gpt4o("\\p{N}{1,3}", `(?:${contraction})?`));

/** By `tokenizer.ggml.pre`, after the table of llama.cpp (src/llama-vocab.cpp). */
export const ggufPreTokenizers: ReadonlyMap<string, GgufPreTokenizer> = new Map([
  ["default", defaultPatterns],
  ["llama3", llama3],
  ["llama-v3", llama3],
  ["llama-bpe", llama3],
  ["falcon3", llama3],
  ["falcon-h1", llama3],
  ["pixtral", llama3],
  ["midm-2.0", llama3],
  ["lfm2", llama3],
  ["dbrx", gpt4Words],
  ["smaug-bpe", gpt4Words],
  ["glm4", gpt4Words],
  ["chatglm-bpe", gpt4Words],
  ["deepseek-coder", plain("[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-퟿]+", "\\p{N}")],
  ["deepseek-v3", plain(...deepseek3)],
  ["hunyuan-dense", plain(...deepseek3)],
  ["falcon", plain("[\\p{P}\\$\\+<=>\\^~\\|`]+", gpt2, "[0-9][0-9][0-9]")],
  ["starcoder", digitsThenGpt2],
  ["refact", digitsThenGpt2],
  ["command-r", digitsThenGpt2],
  ["smollm", digitsThenGpt2],
  ["codeshell", digitsThenGpt2],
  ["exaone", digitsThenGpt2],
  ["minerva-7b", digitsThenGpt2],
  ["mellum2", digitsThenGpt2],
  ["gpt-2", gpt2Only],
  ["phi-2", gpt2Only],
  ["gigachat", gpt2Only],
  ["mellum", gpt2Only],
  ["mpt", gpt2Only],
  ["olmo", gpt2Only],
  ["jais", gpt2Only],
  ["trillion", gpt2Only],
  ["exaone4", gpt2Only],
  ["granite-docling", gpt2Only],
  ["stablelm2", qwen2],
  ["qwen2", qwen2],
  ["deepseek-r1-qwen", qwen2],
  ["megrez", qwen2],
  ["hunyuan", qwen2],
  ["solar-open", qwen2],
  ["grok-2", qwen2],
  [
    "qwen35",
    plain(
      `(?:${contraction})|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|${spaces}`,
    ),
  ],
  ["tekken", { patterns: [gpt4o("\\p{N}", "")], wholeWords: true, addBos: true }],
  ["gpt-4o", gpt4oWords],
  ["llama4", gpt4oWords],
  ["kanana2", gpt4oWords],
  ["minimax-m2", gpt4oWords],
  [
    "seed-coder",
    plain(
      `(?:${contraction})|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|${spaces}`,
    ),
  ],
]);
