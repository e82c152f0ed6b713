import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import type { ExecutionContext } from "ava";

type Value = Readonly<Record<string, unknown>>;

/** As OTLP has it in JSON. */
export interface WireSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { readonly key: string; readonly value: Value }[];
  readonly status: { readonly code: number };
}

export interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: WireSpan["attributes"] };
    readonly scopeSpans: readonly { readonly spans: readonly WireSpan[] }[];
  }[];
}

export interface Collector {
  readonly url: string;
  readonly exports: Export[];
  readonly spans: () => WireSpan[];
}

/** Stands in for a collector of traces, on a free port or a given one. */
export async function startCollector(t: ExecutionContext, port = 0): Promise<Collector> {
  const exports: Export[] = [];
  const server = createServer((req, res) => {
    if (req.method !== "POST" || req.url !== "/v1/traces") {
      res.writeHead(404).end();
      return;
    }
    void json(req).then((body) => {
      exports.push(body as Export);
      res.setHeader("content-type", "application/json").end("{}");
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    exports,
    spans: () =>
      exports.flatMap(({ resourceSpans }) =>
        resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
      ),
  };
}

/** Values of a span's attributes, without OTLP's types. */
export function attributesOf({ attributes }: Pick<WireSpan, "attributes">): Value {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}
