/**
 * How much of each kind a request may describe. More would be a mistake or an attack rather than a wish; OpenAI's
 * own numbers where it has some. Characters are UTF-16 code units.
 */
export const requestLimits = {
  choices: 16,
  messages: 2048,
  /** Of one message. */
  textParts: 2048,
  /** Of a request to `/v1/responses`. */
  items: 2048,
  prompts: 2048,
  tools: 128,
  /** Of one message. */
  toolCalls: 128,
  /** Names, ids and salts that come without another limit. */
  nameCharacters: 256,
  logitBiases: 1024,
  stopStrings: 16,
  /** Of one stop string. */
  stopCharacters: 1024,
  /** Of all stop strings; each answer looks for them on its own. */
  stopCharactersTogether: 4096,
  stopTokens: 64,
  allowedTokens: 2 ** 16,
  /** That are read, or shown, without generating: those of the longest contexts. */
  tokens: 2 ** 17,
  badWords: 256,
  /** Of one of them. */
  badWordCharacters: 200,
  /** As the OpenAI API has it. */
  metadata: { pairs: 16, keyCharacters: 64, valueCharacters: 512 },
} as const;

/** Of a JSON text, before it is parsed: what walks through a value deeper than this could run out of stack. */
export const jsonLimits = {
  depth: 128,
  /** Members of arrays and objects together, which cost far more memory than their bytes. */
  members: 2 ** 20,
  /** Of all objects: a parser looks each of them up. */
  keys: 2 ** 16,
} as const;

/**
 * Tokens to which a prompt is counted that goes beyond the context, so that its sender learns by how much; a longer one
 * is refused without being read to its end.
 */
export function countedTokens(contextLength: number): number {
  return Math.max(4 * contextLength, 16_384);
}
