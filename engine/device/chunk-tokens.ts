/**
 * Measured on two cores: larger chunks prefill no faster (the scores of a chunk no longer fit the
 * cache), and every chunk makes the running sequences wait.
 */
export const cpuChunkTokens = 128;
