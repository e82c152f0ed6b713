import { SeapClient } from "/assets/client/client.js";

const keyName = "seap-api-key";

/** What the server said instead of an answer. */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The server that the page came from. */
export class Api {
  /** Kept until the tab is closed. */
  get key(): string | null {
    return sessionStorage.getItem(keyName);
  }

  set key(key: string | null) {
    if (key === null) sessionStorage.removeItem(keyName);
    else sessionStorage.setItem(keyName, key);
  }

  async get<Body>(path: string): Promise<Body> {
    return (await this.#fetch(path)).json() as Promise<Body>;
  }

  async text(path: string): Promise<string> {
    return (await this.#fetch(path)).text();
  }

  async post<Body>(path: string, body: object = {}): Promise<Body> {
    const json = {
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    };
    return (await this.#fetch(path, { method: "POST", ...json })).json() as Promise<Body>;
  }

  connect(): Promise<SeapClient> {
    const url = new URL("/v1/ws", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const { key } = this;
    return SeapClient.connect(url.href, key === null ? {} : { apiKey: key });
  }

  async #fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.key !== null) headers.set("authorization", `Bearer ${this.key}`);
    const response = await fetch(path, { ...init, headers });
    if (response.ok) return response;
    const body = (await response.json().catch(() => null)) as {
      readonly error?: { readonly message?: string };
    } | null;
    const message = body?.error?.message ?? `The server answered ${response.status}.`;
    throw new ApiError(response.status, message);
  }
}

export function problemOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
