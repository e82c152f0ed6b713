/** A piece of an answer in which tools may be called. */
export type ToolPiece =
  | { readonly kind: "text"; readonly text: string }
  /** The next call begins; its arguments follow. */
  | { readonly kind: "call"; readonly name: string }
  | { readonly kind: "arguments"; readonly text: string };

/** Takes an answer apart, piece by piece, however it is split. */
export interface ToolPieceParser {
  push(text: string): ToolPiece[];
  /** The answer ends here: what was begun and became no call is text, a call that was cut off stays cut off. */
  end(): ToolPiece[];
}

/** What of an answer a parser has to know. */
export interface ParsedTools {
  /** Those that may be called. */
  readonly names: readonly string[];
  /** Text has a form, in which a tag means nothing: calls come instead of it, from the start. */
  readonly isFormed: boolean;
  /** A grammar has the answer be calls and nothing else. */
  readonly isForced: boolean;
  readonly isParallel: boolean;
}

/**
 * How the models of some families write calls: for the grammar that holds them to it and for the parser that reads it.
 * A call is a start, a head, the arguments as JSON and the end, with exactly these blanks.
 */
export interface ToolCallFormat {
  readonly name: ToolCallFormatName;
  /** The first is as good as any other, and the one of all calls but the first. */
  readonly starts: readonly [string, ...string[]];
  head(tool: string): string;
  readonly end: string;
  /** What comes between two calls. */
  readonly between: string;
  /** Calls may come anywhere in a text; else an answer that does not begin with one, blanks aside, has none. */
  readonly isInText: boolean;
  /** Templates show one call of a message alone. */
  readonly isOnePerMessage: boolean;
  /** The template tells of tools and calls in this form by itself. @param template Jinja */
  isKnownTo(template: string): boolean;
  parser(tools: ParsedTools): ToolPieceParser;
}

export type ToolCallFormatName = "hermes" | "llama";
