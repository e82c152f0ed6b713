import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { RequestHandler } from "express";
import { MethodNotAllowedError } from "../base/errors.ts";

/** From dist/server/ as compiled. */
const packageFile = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const moduleFile = (specifier: string) => fileURLToPath(import.meta.resolve(specifier));

/** What the page consists of besides its own modules and the client's. */
const files: Readonly<Record<string, string>> = {
  "/": packageFile("server/page/index.html"),
  "/assets/page.css": packageFile("server/page/page.css"),
  "/assets/icon.svg": packageFile("server/page/icon.svg"),
  "/assets/preact.js": moduleFile("preact"),
  "/assets/htm.js": moduleFile("htm"),
  "/assets/uplot.js": moduleFile("uplot/dist/uPlot.esm.js"),
  "/assets/uplot.css": moduleFile("uplot/dist/uPlot.min.css"),
};

const compiledModule = /^\/assets\/(page|client)\/([a-z-]+\.js)$/;

/** The page at `/` and what it loads; whoever asks, since it shows nothing that did not come with a key. */
export function page(): RequestHandler {
  return async (req, res, next) => {
    const path = findFile(req.path);
    if (path === undefined) return next();
    res.locals["endpoint"] = "page";
    if (req.method !== "GET" && req.method !== "HEAD") {
      throw new MethodNotAllowedError(req.method, req.path, ["GET", "HEAD"]);
    }
    const content = await readFile(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return null;
      throw error;
    });
    if (content === null) return next();
    // Asked for again each time, and sent when it has changed. Packages' files all have one date, so that tells nothing.
    const hash = createHash("sha256").update(content).digest("base64url");
    res.set({ "Cache-Control": "no-cache", "Content-Type": typeOf(path), ETag: `"${hash}"` });
    res.send(content);
  };
}

function findFile(path: string): string | undefined {
  const [, folder, name] = compiledModule.exec(path) ?? [];
  if (folder === "page") return packageFile(`dist/server/page/${name}`);
  if (folder === "client") return packageFile(`dist/client/${name}`);
  return Object.hasOwn(files, path) ? files[path] : undefined;
}

function typeOf(path: string): string {
  if (path.endsWith(".html")) return "text/html; charset=utf-8";
  if (path.endsWith(".css")) return "text/css; charset=utf-8";
  return path.endsWith(".svg") ? "image/svg+xml" : "text/javascript; charset=utf-8";
}
