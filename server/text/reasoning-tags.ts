/** What models write what they think between, before they answer. */
export const reasoningStart = "<think>";
export const reasoningEnd = "</think>";
