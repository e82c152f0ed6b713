import { HttpSide } from "../http-side.ts";
import { contextTokens, maxStreams } from "./side.ts";
import type { Side, SideOptions } from "./side.ts";

/** This server, without router and experts: the same model as the others have. */
export function seapSide(weights: string, options: SideOptions): Side {
  return {
    name: "seap",
    setting: weights,
    start: (usesCache) =>
      HttpSide.start({
        ...options,
        weights,
        flags: {
          "max-batch": maxStreams,
          "context-length": contextTokens,
          ...(usesCache && { "prefix-cache": "1GiB" }),
        },
      }),
  };
}
