import { once } from "node:events";
import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import test from "ava";
import { startServer } from "../../helpers/start-server.ts";

test("the page and all that it loads come from the server, without a key", async (t) => {
  const { get } = await startServer(t, { security: { apiKey: ["secret"] } });
  const seen = new Set<string>();
  const load = async (path: string): Promise<void> => {
    if (seen.has(path)) return;
    seen.add(path);
    const response = await get(path);
    t.is(response.status, 200, path);
    const text = await response.text();
    const type = response.headers.get("content-type");
    if (path.endsWith(".js")) t.is(type, "text/javascript; charset=utf-8", path);
    if (path.endsWith(".css")) t.is(type, "text/css; charset=utf-8", path);
    const addresses = path.endsWith(".js")
      ? [...text.matchAll(/^(?:import|export)[^"]*? from\s*"([^"]+)"/gm)]
      : [...text.matchAll(/(?:href|src)="([^"]+)"/g)];
    for (const [, address] of addresses) {
      await load(new URL(address!, `http://server${path}`).pathname);
    }
  };
  await load("/");
  for (const path of ["main.js", "plot.js", "wire.js"]) {
    t.is(seen.has(`/assets/page/${path}`), path !== "wire.js");
  }
  for (const path of ["preact.js", "htm.js", "uplot.js", "uplot.css", "client/errors.js"]) {
    t.true(seen.has(`/assets/${path}`), path);
  }
  t.is((await get("/v1/models")).status, 401);
});

test("the page has nothing inline, so that its content security policy holds", async (t) => {
  const { get } = await startServer(t);
  const response = await get("/");
  t.is(response.headers.get("content-type"), "text/html; charset=utf-8");
  t.regex(response.headers.get("content-security-policy") ?? "", /default-src 'self'/);
  const text = await response.text();
  t.notRegex(text, /<script(?![^>]* src=)|<style| style=| on\w+=/);
});

test("what has not changed is not sent again", async (t) => {
  const { get, url } = await startServer(t);
  const first = await get("/assets/page/main.js");
  t.is(first.headers.get("cache-control"), "no-cache");
  const headers = { "if-none-match": first.headers.get("etag")! };
  // Unlike a browser, `fetch` adds here that it wants no cached answer.
  const again = request(`${url}/assets/page/main.js`, { headers }).end();
  const [{ statusCode }] = (await once(again, "response")) as [IncomingMessage];
  t.is(statusCode, 304);
});

test("only what the page consists of is there", async (t) => {
  const { get, metric } = await startServer(t);
  for (const path of [
    "/assets/page/unheard.js",
    "/assets/page/main.ts",
    "/assets/page/tsconfig.json",
    "/assets/page/..%2fapp.js",
    "/assets/client/..%2f..%2fpackage.json",
    "/assets/",
    "/index.html",
    "/constructor",
  ]) {
    const response = await get(path);
    t.is(response.status, 404, path);
    t.like(await response.json(), { error: { code: "not_found" } });
  }
  const refused = await get("/", { method: "POST" });
  t.is(refused.status, 405);
  t.is(refused.headers.get("allow"), "GET, HEAD");
  t.is(await metric('seap_http_requests_total{endpoint="page",status="405"}'), 1);
});
