import type { ErrorResponse } from "../http/error-response.ts";
import type { SseSpelling } from "../http/sse.ts";
import type { ResponseEvent } from "./response-output.ts";

/** Events with names and numbers; the stream ends where no more come. */
export function responseSpelling(): SseSpelling {
  let sequenceNumber = 0;
  const spell = ({ type, ...fields }: ResponseEvent) => {
    const data = { type, sequence_number: sequenceNumber++, ...fields };
    return `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
  };
  return {
    piece: (event) => spell(event as ResponseEvent),
    end: "",
    failure: ({ body: { error } }: ErrorResponse) => {
      const { code, message, param } = error;
      // The official clients look at `error`.
      return spell({ type: "error", code, message, param, error });
    },
  };
}
