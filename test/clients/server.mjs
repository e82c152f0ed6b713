import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/**
 * `seap serve` with these flags, once its model is ready.
 *
 * `stop` ends it as a service manager does, and returns what is wrong with how it ended, or undefined.
 * @throws when it ends before
 */
export async function startServer(flags) {
  // What the user has set for servers of their own does not count here, but where models are kept does.
  const isOwn = ([name]) => !name.startsWith("SEAP_") || name === "SEAP_CACHE_DIR";
  const args = Object.entries({ port: 0, router: "off", ...flags });
  const child = spawn(
    process.execPath,
    ["bin/seap.js", "serve", ...args.flatMap(([name, value]) => [`--${name}`, String(value)])],
    {
      env: Object.fromEntries(Object.entries(process.env).filter(isOwn)),
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  const lines = [];
  const url = await new Promise((resolve, reject) => {
    let listening;
    createInterface({ input: child.stderr }).on("line", (line) => {
      lines.push(line);
      listening ??= /listening.*?(http:[^"\s]+)/.exec(line)?.[1];
      if (line.includes("model ready")) resolve(listening);
    });
    child.on("error", reject);
    child.on("close", () => reject(new Error(`the server ended:\n${lines.join("\n")}`)));
  });
  return {
    url,
    kill: () => child.kill("SIGKILL"),
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = once(child, "close");
        child.kill("SIGTERM");
        await ended;
      }
      if (child.exitCode === 0) return undefined;
      const status = child.signalCode ?? `status ${child.exitCode}`;
      return `the server ended with ${status}:\n${lines.slice(-20).join("\n")}`;
    },
  };
}
