import type { PromptSpans } from "../router/prompt-spans.ts";

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

/** What a client asks, as tokens and as it was written. */
export interface Prompt {
  readonly tokenIds: Uint32Array;
  /** What the user says, the last time; empty where it came as token ids. */
  readonly text: string;
  /** Null for a prompt that is no conversation. */
  readonly messages: readonly ChatMessage[] | null;
}

/** From what clients write to token ids. */
export interface TextCodec {
  /**
   * The conversation in the model's chat template, ready for the assistant's turn.
   * @throws ChatTemplateError when the template refuses the conversation.
   */
  encodeChat(messages: readonly ChatMessage[]): Uint32Array;
  /**
   * What of a conversation says which task it is.
   * @param tokenIds of `encodeChat`
   */
  findSpans(messages: readonly ChatMessage[], tokenIds: Uint32Array): PromptSpans;
  /** Text as the model was trained on it, with its start token where it has one. */
  encodeText(text: string): Uint32Array;
}
