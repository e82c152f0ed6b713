import { createReadStream } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { pipeline } from "node:stream";
import { createInflateRaw } from "node:zlib";
import { ModelLoadError } from "../errors.ts";

export interface ZipMember {
  readonly name: string;
  readonly sizeBytes: number;
  readonly compressedBytes: number;
  /** 0 is stored, 8 is deflated. */
  readonly method: number;
  readonly headerOffset: number;
}

// Signatures and field offsets as in PKWARE's APPNOTE.TXT, 4.3.
const endSignature = 0x06054b50;
const endBytes = 22;
const maxCommentBytes = 0xffff;
const memberSignature = 0x02014b50;
const memberBytes = 46;
const localSignature = 0x04034b50;
const localBytes = 30;

/**
 * Lists the members of a zip archive by its directory.
 * @throws ModelLoadError when the file is no zip archive or needs the 64-bit format (4 GiB and more).
 */
export async function listZip(path: string): Promise<ZipMember[]> {
  const handle = await open(path);
  try {
    const { size } = await handle.stat();
    const tail = await readAt(handle, Math.max(0, size - endBytes - maxCommentBytes), size);
    let end = tail.length - endBytes;
    while (end >= 0 && tail.readUInt32LE(end) !== endSignature) end--;
    if (end < 0) throw new ModelLoadError(path, "is not a zip archive, or is truncated");
    const directorySize = tail.readUInt32LE(end + 12);
    const directoryStart = tail.readUInt32LE(end + 16);
    if (directoryStart + directorySize > size) {
      throw new ModelLoadError(path, "is a damaged or 64-bit zip archive");
    }
    const directory = await readAt(handle, directoryStart, directoryStart + directorySize);
    return parseDirectory(path, directory);
  } finally {
    await handle.close();
  }
}

function parseDirectory(path: string, directory: Buffer): ZipMember[] {
  const members: ZipMember[] = [];
  let at = 0;
  while (at + memberBytes <= directory.length && directory.readUInt32LE(at) === memberSignature) {
    const nameBytes = directory.readUInt16LE(at + 28);
    const extraBytes = directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
    const nameStart = at + memberBytes;
    members.push({
      name: directory.toString("utf8", nameStart, nameStart + nameBytes),
      method: directory.readUInt16LE(at + 10),
      compressedBytes: directory.readUInt32LE(at + 20),
      sizeBytes: directory.readUInt32LE(at + 24),
      headerOffset: directory.readUInt32LE(at + 42),
    });
    at = nameStart + nameBytes + extraBytes;
  }
  if (at !== directory.length) throw new ModelLoadError(path, "has a damaged zip directory");
  return members;
}

/**
 * The content of a member, unpacked. Its checksum is not compared: callers know a stronger one.
 * @throws ModelLoadError when the member is damaged, or packed in another way than stored or deflated.
 */
export async function* readZipMember(
  path: string,
  member: ZipMember,
): AsyncGenerator<Uint8Array, void, void> {
  const { name, method, headerOffset, compressedBytes } = member;
  if (method !== 0 && method !== 8) {
    throw new ModelLoadError(
      path,
      `${name} is packed with method ${method}, expected 0 (stored) or 8 (deflated)`,
    );
  }
  const start = await dataStart(path, headerOffset);
  const packed = createReadStream(path, { start, end: start + compressedBytes - 1 });
  // An error of either stream ends the iteration of the last.
  const content = method === 0 ? packed : pipeline(packed, createInflateRaw(), () => undefined);
  try {
    for await (const chunk of content) yield chunk as Buffer;
  } catch (cause) {
    throw new ModelLoadError(path, `${name} cannot be unpacked (${(cause as Error).message})`, {
      cause,
    });
  }
}

/** Where a member's bytes begin: its local header is as long as its own fields say. */
async function dataStart(path: string, headerOffset: number): Promise<number> {
  const handle = await open(path);
  try {
    const header = await readAt(handle, headerOffset, headerOffset + localBytes);
    if (header.length < localBytes || header.readUInt32LE(0) !== localSignature) {
      throw new ModelLoadError(path, `has no member at byte ${headerOffset}`);
    }
    return headerOffset + localBytes + header.readUInt16LE(26) + header.readUInt16LE(28);
  } finally {
    await handle.close();
  }
}

async function readAt(handle: FileHandle, start: number, end: number): Promise<Buffer> {
  const buffer = Buffer.alloc(end - start);
  const { bytesRead } = await handle.read(buffer, 0, buffer.length, start);
  return buffer.subarray(0, bytesRead);
}
