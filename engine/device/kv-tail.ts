/**
 * Positions after the last multiple of this number lie in the tail of a sequence's KV, the others in its past. What attention
 * sums up in one go thus depends on the place of a token alone, and not on how many tokens were computed with it.
 */
export const tailPositions = 32;

/** Where the tail of a sequence of some length begins. */
export function tailStartOf(length: number): number {
  return length - (length % tailPositions);
}

/** Places of a tail that new tokens fit into as well, in whole tails: sums over unused places round alike. */
export function tailLengthFor(pastLengths: readonly number[], numNewTokens: number): number {
  const longest = pastLengths.reduce((most, past) => Math.max(most, past % tailPositions), 0);
  return Math.ceil((longest + numNewTokens) / tailPositions) * tailPositions;
}
