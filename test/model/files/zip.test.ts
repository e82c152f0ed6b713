import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { ModelLoadError } from "../../../model/errors.ts";
import { listZip, readZipMember, type ZipMember } from "../../../model/files/zip.ts";
import { tempDir } from "../../helpers/temp-dir.ts";
import { zipBytes } from "../../helpers/zip-writer.ts";

const long = Buffer.from("seap ".repeat(100_000));
const short = Buffer.from([0, 1, 2, 3]);

function writeArchive(t: ExecutionContext, content: Buffer): string {
  const path = join(tempDir(t), "archive.zip");
  writeFileSync(path, content);
  return path;
}

async function readMember(path: string, member: ZipMember): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of readZipMember(path, member)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test("stored and deflated members come back whole, with or without a comment", async (t) => {
  const members = [
    { name: "folder/long.txt", content: long },
    { name: "short.bin", content: short, method: 0 },
  ];
  for (const comment of ["", "a comment"]) {
    const path = writeArchive(t, zipBytes(members, comment));
    const listed = await listZip(path);
    t.deepEqual(
      listed.map(({ name, sizeBytes }) => [name, sizeBytes]),
      [
        ["folder/long.txt", long.length],
        ["short.bin", short.length],
      ],
    );
    t.true((await readMember(path, listed[0]!)).equals(long));
    t.true((await readMember(path, listed[1]!)).equals(short));
  }
});

test("a truncated or foreign file is an error", async (t) => {
  const whole = zipBytes([{ name: "long.txt", content: long }]);
  const rejects = async (content: Buffer): Promise<void> => {
    await t.throwsAsync(listZip(writeArchive(t, content)), { instanceOf: ModelLoadError });
  };
  await rejects(whole.subarray(0, whole.length - 30));
  await rejects(Buffer.from("no archive"));
  await rejects(Buffer.alloc(0));
  await rejects(whole.subarray(10)); // the directory is not where the end record says
});

test("a member that is packed in another way is an error that names the method", async (t) => {
  const path = writeArchive(t, zipBytes([{ name: "x", content: short, method: 14 }]));
  const [member] = await listZip(path);
  await t.throwsAsync(readMember(path, member!), {
    instanceOf: ModelLoadError,
    message: /x is packed with method 14, expected 0 \(stored\) or 8 \(deflated\)/,
  });
});

test("a member with damaged bytes is an error that names it", async (t) => {
  const whole = zipBytes([{ name: "long.txt", content: long }]);
  whole.fill(0xff, 60, 80);
  const path = writeArchive(t, whole);
  const [member] = await listZip(path);
  await t.throwsAsync(readMember(path, member!), {
    instanceOf: ModelLoadError,
    message: /long\.txt cannot be unpacked/,
  });
});
