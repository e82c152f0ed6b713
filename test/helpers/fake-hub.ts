import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ExecutionContext } from "ava";

export interface FakeHub {
  readonly url: string;
  /** Paths of the files that were sent, once for each request. */
  readonly downloads: string[];
  /** Files of each repository by path; may be changed between requests. */
  readonly repos: Record<string, Record<string, Buffer>>;
  /** Name of the current commit of every repository. */
  commit: string;
  /** When set, requests without this token are refused. */
  requiredToken: string | undefined;
  /** Ends the connection in the middle of every file. */
  breakDownloads: boolean;
  /** Sends other bytes than the listing promises. */
  corruptDownloads: boolean;
  close(): Promise<void>;
}

/** Serves what `@huggingface/hub` asks of the Hugging Face Hub, on a free port. */
export async function startFakeHub(t: ExecutionContext, repos: FakeHub["repos"]): Promise<FakeHub> {
  const server = createServer((request, response) => answer(hub, request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const hub: FakeHub = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    downloads: [],
    repos,
    commit: "c0ffee",
    requiredToken: undefined,
    breakDownloads: false,
    corruptDownloads: false,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  t.teardown(() => hub.close());
  return hub;
}

function answer(hub: FakeHub, request: IncomingMessage, response: ServerResponse): void {
  const refuse = (status: number, headers: Record<string, string> = {}): void => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify({ error: `status ${status}` }));
  };
  if (hub.requiredToken && request.headers.authorization !== `Bearer ${hub.requiredToken}`) {
    return refuse(401);
  }
  const { pathname } = new URL(request.url!, hub.url);
  const info = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/HEAD$/.exec(pathname);
  const tree = /^\/api\/models\/([^/]+\/[^/]+)\/tree\/([^/]+)$/.exec(pathname);
  const file = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(pathname);
  const repo = (info ?? tree ?? file)?.[1];
  const files = repo ? hub.repos[repo] : undefined;
  if (!files) return refuse(404, { "x-error-code": "RepoNotFound" });
  response.setHeader("content-type", "application/json");
  if (info) {
    response.end(JSON.stringify({ _id: "1", id: repo, private: false, sha: hub.commit }));
  } else if (tree) {
    response.end(JSON.stringify(Object.entries(files).map(describeFile)));
  } else if (file) {
    const content = files[file[3]!];
    if (!content) return refuse(404, { "x-error-code": "EntryNotFound" });
    sendFile(hub, content, file[3]!, request, response);
  }
}

function describeFile([path, content]: [path: string, content: Buffer]): object {
  const oid = createHash("sha256").update(content).digest("hex");
  const lfs = path.endsWith(".json")
    ? {}
    : { lfs: { oid, size: content.length, pointerSize: 100 } };
  return { type: "file", path, size: content.length, oid: oid.slice(0, 40), ...lfs };
}

function sendFile(
  hub: FakeHub,
  content: Buffer,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  response.setHeader("content-type", "application/octet-stream");
  response.setHeader("etag", '"1"');
  if (request.headers.range === "bytes=0-0") {
    response.writeHead(206, { "content-range": `bytes 0-0/${content.length}` });
    response.end(content.subarray(0, 1));
    return;
  }
  hub.downloads.push(path);
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
  if (range) {
    const [start, last] = [Number(range[1]), Number(range[2])];
    response.writeHead(206, { "content-range": `bytes ${start}-${last}/${content.length}` });
    response.end(content.subarray(start, last + 1));
    return;
  }
  response.writeHead(200, { "content-length": content.length });
  if (hub.breakDownloads) {
    response.write(content.subarray(0, content.length / 2), () => response.destroy());
  } else {
    response.end(hub.corruptDownloads ? Buffer.alloc(content.length) : content);
  }
}
