import { readFileSync } from "node:fs";
import test from "ava";
import fc from "fast-check";
import { ModelLoadError, TooManyTokensError } from "../../../model/errors.ts";
import { openGguf } from "../../../model/files/gguf.ts";
import { resolveModel } from "../../../model/source/source.ts";
import { createTokenizer, type Tokenizer } from "../../../model/text/tokenizer.ts";
import type { TokenizerSource } from "../../../model/text/tokenizer-source.ts";

interface ByteLevelFixture {
  readonly tokens: readonly string[];
  readonly merges: readonly (readonly [string, string])[];
  readonly texts: readonly string[];
  readonly ids: Readonly<Record<string, readonly (readonly number[])[]>>;
}

interface SentencePieceVocabulary {
  readonly tokens: readonly string[];
  readonly scores: readonly number[];
  readonly types: readonly number[];
  readonly ids: readonly (readonly number[])[];
}

interface SentencePieceFixture {
  readonly texts: readonly string[];
  readonly spacePrefix: SentencePieceVocabulary;
  readonly noSpacePrefix: SentencePieceVocabulary;
}

interface DefaultModelFixture {
  readonly texts: readonly string[];
  readonly plain: readonly (readonly number[])[];
  readonly special: readonly (readonly number[])[];
}

/** Made by the scripts that lie beside the fixtures. */
function fixture(name: string): unknown {
  return JSON.parse(readFileSync(`test/fixtures/${name}`, "utf8"));
}

const byteLevel = fixture("tokenizer-byte-level.json") as ByteLevelFixture;
const sentencePiece = fixture("tokenizer-sentencepiece.json") as SentencePieceFixture;

const type = { normal: 1, control: 3, userDefined: 4 };

/** The small byte-level vocabulary, with `added` tokens behind it, as GGUF metadata. */
function byteLevelMetadata(
  pre: string,
  added: readonly (readonly [content: string, type: number])[] = [],
): Record<string, unknown> {
  return {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": pre,
    "tokenizer.ggml.tokens": [...byteLevel.tokens, ...added.map(([content]) => content)],
    "tokenizer.ggml.token_type": [
      ...byteLevel.tokens.map((_, id) => (id === 0 ? type.control : type.normal)),
      ...added.map(([, tokenType]) => tokenType),
    ],
    "tokenizer.ggml.merges": byteLevel.merges.map((merge) => merge.join(" ")),
    "tokenizer.ggml.bos_token_id": 0,
    "tokenizer.ggml.eos_token_id": 0,
  };
}

function sentencePieceMetadata(
  vocabulary: SentencePieceVocabulary,
  addSpacePrefix: boolean,
): Record<string, unknown> {
  return {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": vocabulary.tokens,
    "tokenizer.ggml.scores": vocabulary.scores,
    "tokenizer.ggml.token_type": vocabulary.types,
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.add_space_prefix": addSpacePrefix,
  };
}

function fromGguf(metadata: Record<string, unknown>): Tokenizer {
  return createTokenizer({ kind: "gguf", path: "model.gguf", metadata });
}

function huggingFace(
  parts: Partial<Extract<TokenizerSource, { kind: "huggingface" }>> & {
    readonly json?: Record<string, unknown>;
    readonly model?: Record<string, unknown>;
  } = {},
): Extract<TokenizerSource, { kind: "huggingface" }> {
  const { json, model, ...rest } = parts;
  return {
    kind: "huggingface",
    path: "folder/tokenizer.json",
    tokenizerJson: {
      model: {
        type: "BPE",
        vocab: Object.fromEntries(byteLevel.tokens.map((token, id) => [token, id])),
        merges: byteLevel.merges,
        ...model,
      },
      added_tokens: [{ id: 0, content: "<|endoftext|>", special: true }],
      normalizer: null,
      pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
      post_processor: null,
      decoder: { type: "ByteLevel" },
      ...json,
    },
    tokenizerConfig: { eos_token: "<|endoftext|>" },
    generationConfig: null,
    chatTemplate: null,
    ...rest,
  };
}

function plainIds(tokenizer: Tokenizer, text: string): number[] {
  return [...tokenizer.encode(text, { parseSpecial: false, addBos: false })];
}

function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\uFFFD");
}

for (const [pre, expected] of Object.entries(byteLevel.ids)) {
  test(`pre-tokenizer ${pre} gives the ids of Hugging Face's tokenizers`, (t) => {
    const tokenizer = fromGguf(byteLevelMetadata(pre));
    for (const [index, text] of byteLevel.texts.entries()) {
      t.deepEqual(plainIds(tokenizer, text), expected[index], JSON.stringify(text));
    }
  });
}

for (const [name, addSpacePrefix] of [
  ["spacePrefix", true],
  ["noSpacePrefix", false],
] as const) {
  test(`a SentencePiece vocabulary (${name}) gives the ids of sentencepiece`, (t) => {
    const tokenizer = fromGguf(sentencePieceMetadata(sentencePiece[name], addSpacePrefix));
    for (const [index, text] of sentencePiece.texts.entries()) {
      t.deepEqual(plainIds(tokenizer, text), sentencePiece[name].ids[index], JSON.stringify(text));
    }
  });
}

test("the default model's ids are those of llama.cpp", async (t) => {
  const expected = fixture("tokenizer-smollm2.json") as DefaultModelFixture;
  const { path } = await resolveModel("default");
  const checkpoint = openGguf(path);
  t.teardown(() => checkpoint.close());
  const tokenizer = createTokenizer({
    kind: "gguf",
    path: "model.gguf",
    metadata: checkpoint.metadata,
  });
  t.is(tokenizer.vocabSize, 49_152);
  t.is(tokenizer.bosTokenId, 1);
  t.deepEqual(tokenizer.eosTokenIds, [0, 2]);
  t.false(tokenizer.addBos);
  for (const [index, text] of expected.texts.entries()) {
    t.deepEqual(plainIds(tokenizer, text), expected.plain[index], JSON.stringify(text));
    const special = [...tokenizer.encode(text, { parseSpecial: true })];
    t.deepEqual(special, expected.special[index], JSON.stringify(text));
    t.is(tokenizer.decode(special, { keepSpecial: true }), text);
  }
});

test("what is encoded decodes to the same text, lone surrogates to U+FFFD", (t) => {
  const tokenizers = [
    fromGguf(byteLevelMetadata("llama-bpe")),
    fromGguf(byteLevelMetadata("smollm")),
    fromGguf(sentencePieceMetadata(sentencePiece.spacePrefix, true)),
  ];
  t.notThrows(() =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: "binary" }),
          fc.array(fc.nat(0xffff)).map((units) => String.fromCharCode(...units)),
        ),
        (text) =>
          tokenizers.every(
            (tokenizer) =>
              // SentencePiece cannot tell its mark from a space.
              text.includes("\u2581") ||
              tokenizer.decode(plainIds(tokenizer, text)) === wellFormed(text),
          ),
      ),
    ),
  );
});

test("a control token typed by a user stays plain text", (t) => {
  const tokenizer = fromGguf(byteLevelMetadata("qwen2", [["<|im_end|>", type.control]]));
  const text = "a<|im_end|>b<|endoftext|>";
  const ids = plainIds(tokenizer, text);
  t.is(tokenizer.decode(ids), text);
  t.true(ids.every((id) => tokenizer.tokenTable.control[id] === 0));
  const special = [...tokenizer.encode(text, { parseSpecial: true })];
  t.deepEqual(
    special.filter((id) => tokenizer.tokenTable.control[id] === 1),
    [byteLevel.tokens.length, 0],
  );
  t.is(tokenizer.decode(special), "ab");
  t.is(tokenizer.decode(special, { keepSpecial: true }), text);
});

test("a control token whose text is a word of the vocabulary stays plain text too", (t) => {
  // Whole words win over merges with this pre-tokenizer.
  const tokenizer = fromGguf(byteLevelMetadata("llama-bpe", [["STOP", type.control]]));
  t.notDeepEqual(plainIds(tokenizer, "STOP"), [byteLevel.tokens.length]);
  const pieces = { ...sentencePiece.spacePrefix };
  const llama = fromGguf(sentencePieceMetadata(pieces, true));
  t.is(llama.decode(plainIds(llama, "<s>hi</s><0x0A>")), "<s>hi</s><0x0A>");
  t.true(plainIds(llama, "<s></s>").every((id) => llama.tokenTable.control[id] === 0));
});

test("user-defined tokens are found in any text, the longest first", (t) => {
  const first = byteLevel.tokens.length;
  const tokenizer = fromGguf(
    byteLevelMetadata("qwen2", [
      ["<tab", type.userDefined],
      ["<table>", type.userDefined],
    ]),
  );
  t.deepEqual(plainIds(tokenizer, "<table><tab"), [first + 1, first]);
  t.is(tokenizer.decode([first + 1, first]), "<table><tab");
});

test("beginning-of-sequence is added where the file asks for it, and where the caller does", (t) => {
  const quiet = fromGguf({ ...byteLevelMetadata("smollm") });
  const eager = fromGguf({ ...byteLevelMetadata("smollm"), "tokenizer.ggml.add_bos_token": true });
  const byDefault = fromGguf(byteLevelMetadata("llama-bpe"));
  t.false(quiet.encode("x", { parseSpecial: false }).includes(0));
  t.is(quiet.encode("x", { parseSpecial: false, addBos: true })[0], 0);
  t.is(eager.encode("x", { parseSpecial: false })[0], 0);
  t.is(byDefault.encode("x", { parseSpecial: false })[0], 0);
  t.false(byDefault.encode("x", { parseSpecial: false, addBos: false }).includes(0));
  t.deepEqual([...eager.encode("", { parseSpecial: false })], [0]);
});

test("the token table holds the exact bytes, none for control tokens", (t) => {
  const bytesOf = ({ tokenTable }: Tokenizer, id: number) =>
    Buffer.from(tokenTable.bytes.subarray(tokenTable.offsets[id], tokenTable.offsets[id + 1]));
  const tokenizer = fromGguf(byteLevelMetadata("smollm", [["<é>", type.userDefined]]));
  t.is(tokenizer.tokenTable.offsets.length, tokenizer.vocabSize + 1);
  t.is(bytesOf(tokenizer, 0).length, 0);
  t.is(tokenizer.tokenTable.control[0], 1);
  t.is(bytesOf(tokenizer, tokenizer.vocabSize - 1).toString(), "<é>");
  // The alphabet's 256 characters are all the bytes.
  const single = byteLevel.tokens.flatMap((token, id) => (token.length === 1 ? [id] : []));
  t.deepEqual(
    single.map((id) => bytesOf(tokenizer, id)[0]).sort((a, b) => a! - b!),
    Array.from({ length: 256 }, (_, byte) => byte),
  );

  const llama = fromGguf(sentencePieceMetadata(sentencePiece.spacePrefix, true));
  const id = (token: string) => sentencePiece.spacePrefix.tokens.indexOf(token);
  t.deepEqual(bytesOf(llama, id("<0xF0>")), Buffer.of(0xf0));
  t.deepEqual(bytesOf(llama, id("\u2581")), Buffer.from(" "));
  t.is(bytesOf(llama, id("</s>")).length, 0);
});

test("decoding replaces broken bytes, keeps a byte order mark and skips unknown ids", (t) => {
  const llama = fromGguf(sentencePieceMetadata(sentencePiece.noSpacePrefix, false));
  const bytes = (...values: number[]) =>
    values.map((value) =>
      sentencePiece.noSpacePrefix.tokens.indexOf(
        `<0x${value.toString(16).toUpperCase().padStart(2, "0")}>`,
      ),
    );
  t.is(llama.decode(bytes(0xef, 0xbb, 0xbf, 0x41)), "\uFEFFA");
  t.is(llama.decode(bytes(0xf0, 0x9f, 0x41, 0x80)), "\uFFFDA\uFFFD");
  t.is(llama.decode([llama.vocabSize + 7, ...bytes(0x41)]), "A");
});

for (const [name, unit] of [
  ["one letter", "a"],
  ["one long word", "thequickbrownfox"],
  ["spaces", " "],
  ["digits", "0123456789"],
  ["Chinese", "汉字漢字日本語"],
  ["starts of control tokens", "<|endof"],
] as const) {
  test(`100 KB of ${name} are encoded in well under the time of a quadratic algorithm`, (t) => {
    const text = unit.repeat(Math.ceil(100_000 / unit.length));
    for (const tokenizer of [
      fromGguf(byteLevelMetadata("smollm")),
      fromGguf(byteLevelMetadata("tekken")),
      fromGguf(sentencePieceMetadata(sentencePiece.spacePrefix, true)),
    ]) {
      const start = process.cpuUsage();
      t.is(tokenizer.decode(tokenizer.encode(text, { parseSpecial: true })), text);
      const { user } = process.cpuUsage(start);
      t.true(user < 10_000_000, `took ${user / 1000} ms`);
    }
  });
}

test("tokenizer.json gives the same ids as the GGUF file of the same model", (t) => {
  const strings = huggingFace({
    model: { merges: byteLevel.merges.map((merge) => merge.join(" ")) },
  });
  for (const source of [huggingFace(), strings]) {
    const tokenizer = createTokenizer(source);
    for (const [index, text] of byteLevel.texts.entries()) {
      t.deepEqual(plainIds(tokenizer, text), byteLevel.ids["gpt-2"]![index], JSON.stringify(text));
    }
  }
});

test("a Llama 2 style tokenizer.json gives the ids of sentencepiece", (t) => {
  const { tokens, scores, types, ids } = sentencePiece.spacePrefix;
  const byScore = tokens
    .map((token, id) => ({ token, id, score: scores[id]! }))
    .filter(({ id }) => types[id] === type.normal)
    .sort((a, b) => b.score - a.score);
  const known = new Set(byScore.map(({ token }) => token));
  const merges = byScore.flatMap(({ token }) => {
    const characters = [...token];
    return characters.slice(1).flatMap((_, index) => {
      const left = characters.slice(0, index + 1).join("");
      const right = characters.slice(index + 1).join("");
      return known.has(left) && known.has(right) ? [[left, right] as const] : [];
    });
  });
  const tokenizer = createTokenizer(
    huggingFace({
      model: {
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
        merges,
        byte_fallback: true,
        fuse_unk: true,
        unk_token: "<unk>",
      },
      json: {
        added_tokens: ["<unk>", "<s>", "</s>"].map((content, id) => ({
          id,
          content,
          special: true,
        })),
        normalizer: {
          type: "Sequence",
          normalizers: [
            { type: "Prepend", prepend: "\u2581" },
            { type: "Replace", pattern: { String: " " }, content: "\u2581" },
          ],
        },
        pre_tokenizer: null,
        post_processor: {
          type: "TemplateProcessing",
          single: [{ SpecialToken: { id: "<s>" } }, { Sequence: { id: "A" } }],
        },
        decoder: {
          type: "Sequence",
          decoders: [
            { type: "Replace", pattern: { String: "\u2581" }, content: " " },
            { type: "ByteFallback" },
            { type: "Fuse" },
            { type: "Strip", content: " ", start: 1, stop: 0 },
          ],
        },
      },
      tokenizerConfig: { bos_token: { content: "<s>" }, eos_token: "</s>" },
    }),
  );
  t.is(tokenizer.bosTokenId, 1);
  t.true(tokenizer.addBos);
  t.deepEqual(tokenizer.eosTokenIds, [2]);
  for (const [index, text] of sentencePiece.texts.entries()) {
    t.deepEqual(plainIds(tokenizer, text), ids[index], JSON.stringify(text));
  }
  t.is(tokenizer.decode(tokenizer.encode("Hello world", { parseSpecial: false })), "Hello world");
});

test("ends of sequence come from the configuration, the generation settings and known names", (t) => {
  const size = byteLevel.tokens.length;
  const added = ["<|im_end|>", "<other>", "<tool>"].map((content, index) => ({
    id: size + index,
    content,
    special: index < 2,
  }));
  const tokenizer = createTokenizer(
    huggingFace({
      json: { added_tokens: [{ id: 0, content: "<|endoftext|>", special: true }, ...added] },
      tokenizerConfig: { eos_token: "<|endoftext|>", bos_token: null },
      generationConfig: { eos_token_id: [0, size + 1] },
    }),
  );
  t.deepEqual(tokenizer.eosTokenIds, [0, size, size + 1]);
  t.is(tokenizer.eosTokenId, 0);
  t.is(tokenizer.bosTokenId, null);
  t.false(tokenizer.addBos);
  t.deepEqual([...tokenizer.encode("<tool>", { parseSpecial: false })], [size + 2]);

  const gguf = fromGguf({
    ...byteLevelMetadata("smollm", [
      ["<|eot_id|>", type.normal],
      ["<other>", type.control],
    ]),
    "tokenizer.ggml.eot_token_id": size + 1,
  });
  t.deepEqual(gguf.eosTokenIds, [0, size, size + 1]);
  t.is(gguf.tokenTable.control[size], 1);
});

test("added tokens swallow white space where their file says so", (t) => {
  const size = byteLevel.tokens.length;
  const tokenizer = createTokenizer(
    huggingFace({
      json: {
        added_tokens: [
          { id: size, content: "<right>", special: true, rstrip: true },
          { id: size + 1, content: "<left>", special: true, lstrip: true },
        ],
      },
    }),
  );
  const ids = tokenizer.encode("a <right> \n b \n<left> c", { parseSpecial: true });
  t.is(tokenizer.decode(ids, { keepSpecial: true }), "a <right>b<left> c");
});

test("unsupported and inconsistent tokenizers are refused by name", (t) => {
  const refusals: [RegExp, TokenizerSource][] = [
    [/tokenizer\.ggml\.pre: .*"martian"/, gguf(byteLevelMetadata("martian"))],
    [
      /tokenizer\.ggml\.model: expected "gpt2" or "llama", got "bert"/,
      gguf({ "tokenizer.ggml.model": "bert" }),
    ],
    [/tokenizer\.ggml\.model: expected a string, got nothing/, gguf({})],
    [
      /tokenizer\.ggml\.tokens: expected a list of strings, got number/,
      gguf({ ...byteLevelMetadata("smollm"), "tokenizer.ggml.tokens": 3 }),
    ],
    [
      /tokenizer\.ggml\.token_type: expected 900 values, got 1/,
      gguf({ ...byteLevelMetadata("smollm"), "tokenizer.ggml.token_type": [1] }),
    ],
    [
      /tokenizer\.ggml\.merges: expected two tokens, got "ab"/,
      gguf({ ...byteLevelMetadata("smollm"), "tokenizer.ggml.merges": ["ab"] }),
    ],
    [
      /tokenizer\.ggml\.scores: expected 700 values, got 0/,
      gguf({
        ...sentencePieceMetadata(sentencePiece.spacePrefix, true),
        "tokenizer.ggml.scores": [],
      }),
    ],
    [
      /tokenizer\.ggml\.add_bos_token: is on/,
      gguf({
        ...byteLevelMetadata("smollm"),
        "tokenizer.ggml.add_bos_token": true,
        "tokenizer.ggml.bos_token_id": undefined,
      }),
    ],
    [
      /^model\.gguf: tokenizer\.ggml\.merges: expected a list of strings, got nothing/,
      gguf({ ...byteLevelMetadata("smollm"), "tokenizer.ggml.merges": undefined }),
    ],
    [
      /^folder\/tokenizer\.json: model\.merges: expected a list, got nothing/,
      huggingFace({ model: { merges: undefined } }),
    ],
    [/tokenizer\.json: .*got type "Unigram"/, huggingFace({ model: { type: "Unigram" } })],
    [/tokenizer\.json: .*got type null/, huggingFace({ json: { model: undefined } })],
  ];
  for (const [message, source] of refusals) {
    t.throws(() => createTokenizer(source), { instanceOf: ModelLoadError, message });
  }
});

function gguf(metadata: Record<string, unknown>): TokenizerSource {
  return { kind: "gguf", path: "model.gguf", metadata };
}

test("a limit of tokens changes no ids, and is passed only by texts that have more", (t) => {
  const tokenizers = ["gpt-2", "llama-bpe", "smollm"].map((pre) =>
    createTokenizer({ kind: "gguf", path: "model.gguf", metadata: byteLevelMetadata(pre) }),
  );
  const word = fc.constantFrom(
    "1",
    "23",
    " the",
    " ",
    "\n",
    "  \n\n",
    "é",
    "😀",
    "'s",
    "ab",
    "...",
  );
  const text = fc
    .tuple(fc.array(word, { minLength: 1, maxLength: 12 }), fc.integer({ min: 1, max: 400 }))
    .map(([words, times]) => words.join("").repeat(times));
  t.notThrows(() =>
    fc.assert(
      fc.property(text, fc.integer({ min: 0, max: 600 }), (input, maxTokens) => {
        for (const tokenizer of tokenizers) {
          const all = tokenizer.encode(input, { parseSpecial: false });
          try {
            const ids = tokenizer.encode(input, { parseSpecial: false, maxTokens });
            if (ids.length > maxTokens || ids.join() !== all.join()) return false;
          } catch (error) {
            if (!(error instanceof TooManyTokensError)) throw error;
            if (all.length <= maxTokens || error.numTokens > all.length) return false;
          }
        }
        return true;
      }),
      { numRuns: 150 },
    ),
  );
});

test("a text that is far too long is not read to its end", (t) => {
  const metadata = byteLevelMetadata("smollm");
  const tokenizer = createTokenizer({ kind: "gguf", path: "model.gguf", metadata });
  const start = process.cpuUsage();
  for (const text of ["1".repeat(8_000_000), "1 a\n".repeat(2_000_000)]) {
    const options = { parseSpecial: false, maxTokens: 2000 };
    t.throws(() => tokenizer.encode(text, options), { instanceOf: TooManyTokensError });
  }
  t.true(process.cpuUsage(start).user < 2_000_000);
});
