/** A piece of an answer in which tools may be called. */
export type ToolPiece =
  | { readonly kind: "text"; readonly text: string }
  /** The next call begins; its arguments follow. */
  | { readonly kind: "call"; readonly name: string }
  | { readonly kind: "arguments"; readonly text: string };
