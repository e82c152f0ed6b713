import { ArtifactStore } from "../../model/experts/artifact-store.ts";

// Run as a process of its own: writes the same artifacts over and over into the folder it is given,
// removing each before it is written again, until it is killed.
const store = new ArtifactStore(process.argv[2]!);
for (;;) {
  for (let index = 0; index < 4; index++) {
    const key = `artifact-${index}`;
    await store.write(key, { index }, [
      ["first.bin", [Buffer.alloc(300_000, index), Buffer.alloc(200_000, index + 1)]],
      ["second.bin", [Buffer.from(key)]],
    ]);
    process.stdout.write(`${key}\n`);
    await store.remove(key);
  }
}
