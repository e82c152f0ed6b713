// Sets the project up as far as needed (packages, build), then runs one command.
// Runs on a fresh clone: nothing but Node's own modules may be imported here or in the files it loads.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const minimum = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).engines.node.slice(2);
if (isOlder(process.versions.node, minimum)) {
  console.error(
    `seap: Node.js ${minimum} or newer is required, this is ${process.versions.node} (${process.execPath}).`,
  );
  process.exit(1);
}

// Loaded after the check, so that an old Node gets the message and not a syntax error.
const { main } = await import("./commands.mjs");
await main(root, process.argv.slice(2));

function isOlder(version, minimumVersion) {
  const [major, minor] = version.split(".").map(Number);
  const [minimumMajor, minimumMinor] = minimumVersion.split(".").map(Number);
  return major < minimumMajor || (major === minimumMajor && minor < minimumMinor);
}
