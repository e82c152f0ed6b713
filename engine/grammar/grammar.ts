/** Code points from the first to the second, both included; in ascending order, without overlaps, no surrogates. */
export type CodePoints = readonly (readonly [first: number, last: number])[];

/** A set of texts. */
export type GrammarNode =
  | { readonly kind: "text"; readonly text: string }
  /** One character of a set; of an empty set there is no text. */
  | { readonly kind: "characters"; readonly codePoints: CodePoints }
  | { readonly kind: "sequence"; readonly parts: readonly GrammarNode[] }
  | { readonly kind: "choice"; readonly alternatives: readonly GrammarNode[] }
  /** @param max Infinity for any number */
  | {
      readonly kind: "repeat";
      readonly item: GrammarNode;
      readonly min: number;
      readonly max: number;
    }
  | { readonly kind: "rule"; readonly name: string }
  /** Any bytes; wherever the trigger comes up in them, the content follows. */
  | {
      readonly kind: "triggered";
      readonly trigger: string;
      readonly content: GrammarNode;
      /** The text ends behind the content. */
      readonly isOnce: boolean;
    };

/** What the text of an answer must be, from its first byte to its last. */
export interface Grammar {
  readonly root: GrammarNode;
  /** What `rule` nodes refer to. */
  readonly rules: Readonly<Record<string, GrammarNode>>;
}
