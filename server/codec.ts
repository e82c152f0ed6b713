/** A turn of a conversation in the spelling that chat templates expect. */
export interface ChatMessage {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly content: string;
  readonly name?: string;
  /** Calls the assistant made, as the client sent them. */
  readonly tool_calls?: readonly unknown[];
  /** The call that a tool message answers. */
  readonly tool_call_id?: string;
}

/** From what clients write to token ids. */
export interface TextCodec {
  /**
   * The conversation in the model's chat template, ready for the assistant's turn.
   * @throws ChatTemplateError when the template refuses the conversation.
   */
  encodeChat(messages: readonly ChatMessage[]): Uint32Array;
  /** Text as the model was trained on it, with its start token where it has one. */
  encodeText(text: string): Uint32Array;
}
