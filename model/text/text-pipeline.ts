import { Tokenizer } from "@huggingface/tokenizers";

/** Cuts a piece of text into the words that are encoded one by one. */
export type TextPipeline = (text: string, sectionIndex: number) => readonly string[];

// The package's type declarations do not resolve under "nodenext", so the part used here is declared.
const LibraryTokenizer = Tokenizer as unknown as new (
  tokenizer: Readonly<Record<string, unknown>>,
  config: Readonly<Record<string, unknown>>,
) => {
  readonly normalizer: { normalize(text: string): string } | null;
  readonly pre_tokenizer: {
    pre_tokenize(text: string, options: { readonly section_index: number }): string[];
  } | null;
};

/**
 * `normalizer` and `pre_tokenizer` as tokenizer.json writes them. Only these two stages are the
 * library's: its merging takes seconds for long words.
 */
export function createTextPipeline(normalizer: unknown, preTokenizer: unknown): TextPipeline {
  const stages = new LibraryTokenizer(
    {
      normalizer,
      pre_tokenizer: preTokenizer,
      model: { type: "BPE", vocab: {}, merges: [], ignore_merges: false },
      added_tokens: [],
      post_processor: null,
      decoder: null,
    },
    {},
  );
  return (text, sectionIndex) => {
    const normalized = stages.normalizer === null ? text : stages.normalizer.normalize(text);
    return stages.pre_tokenizer === null
      ? [normalized]
      : stages.pre_tokenizer.pre_tokenize(normalized, { section_index: sectionIndex });
  };
}
