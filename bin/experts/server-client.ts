import { z } from "zod";
import { SeapError } from "../../model/errors.ts";

/** A server could not be reached, or refused what was asked. */
export class ServerRequestError extends SeapError {
  readonly code = "server_request";
}

const expertSchema = z.object({
  id: z.string(),
  state: z.string(),
  resident_bytes: z.number(),
  running: z.number(),
  hits: z.number(),
  misses: z.number(),
  evictions: z.number(),
  sparsity: z.number().nullable(),
  held_out_loss_increase: z.number().nullable(),
  last_used_at: z.string().nullable(),
  progress: z.object({ phase: z.string(), share: z.number() }).nullable(),
  problem: z.string().nullable(),
  shadow: z.object({ kl: z.number() }).nullable(),
});

const listSchema = z.object({
  memory_budget_bytes: z.number(),
  memory_used_bytes: z.number(),
  data: z.array(expertSchema),
});

const refusalSchema = z.object({ error: z.object({ message: z.string() }) });

/** What this command shows of an expert; other fields are for those who read the JSON. */
export type ListedExpert = z.output<typeof expertSchema>;
export type ExpertList = z.output<typeof listSchema>;

/** An answer, checked and as it came. */
export interface ServerAnswer<T> {
  readonly value: T;
  readonly json: unknown;
}

export interface ServerClientOptions {
  /** Of the server, without `/v1`. */
  readonly url: string;
  readonly apiKey: string | undefined;
  readonly signal: AbortSignal;
}

/** Asks a running server about its experts. */
export class ServerClient {
  readonly #options: ServerClientOptions;

  constructor(options: ServerClientOptions) {
    this.#options = options;
  }

  /** @throws ServerRequestError, and the signal's reason */
  list(): Promise<ServerAnswer<ExpertList>> {
    return this.#request("GET", "/v1/experts", listSchema);
  }

  /** @throws ServerRequestError, and the signal's reason */
  command(expert: string, command: string): Promise<ServerAnswer<ListedExpert>> {
    const path = `/v1/experts/${encodeURIComponent(expert)}/${command}`;
    return this.#request("POST", path, expertSchema);
  }

  async #request<T extends z.ZodType>(
    method: string,
    path: string,
    schema: T,
  ): Promise<ServerAnswer<z.output<T>>> {
    const { url, apiKey, signal } = this.#options;
    let response: Response;
    let text: string;
    try {
      const headers = {
        "content-type": "application/json",
        ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
      };
      response = await fetch(`${url}${path}`, { method, headers, signal });
      text = await response.text();
    } catch (cause) {
      signal.throwIfAborted();
      const problem = (cause as Error).cause ?? cause;
      const message = `${url} cannot be reached: ${(problem as Error).message}.`;
      throw new ServerRequestError(`${message} Is the server running there?`, { cause });
    }
    const json = parseJson(text);
    if (!response.ok) {
      const refusal = refusalSchema.safeParse(json).data?.error.message;
      throw new ServerRequestError(refusal ?? `${url}${path} answered ${response.status}.`);
    }
    const parsed = schema.safeParse(json);
    if (parsed.success) return { value: parsed.data, json };
    throw new ServerRequestError(`${url} answers as no seap server of this release does.`);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
