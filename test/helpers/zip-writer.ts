import { deflateRawSync } from "node:zlib";

export interface WritableMember {
  readonly name: string;
  readonly content: Buffer;
  /** 0 is stored, 8 is deflated; others are only claimed. @default 8 */
  readonly method?: number;
}

/** The content of a zip archive; checksums are left zero. */
export function zipBytes(members: readonly WritableMember[], comment = ""): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, content, method = 8 } of members) {
    const packed = method === 8 ? deflateRawSync(content) : content;
    const nameBytes = Buffer.from(name);

    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(method, 8);
    local.writeUInt32LE(packed.length, 18);
    local.writeUInt32LE(content.length, 22);
    local.writeUInt16LE(nameBytes.length, 26);
    const extra = Buffer.from("extra bytes"); // of the local header only, as some writers add
    local.writeUInt16LE(extra.length, 28);
    locals.push(local, nameBytes, extra, packed);

    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(method, 10);
    entry.writeUInt32LE(packed.length, 20);
    entry.writeUInt32LE(content.length, 24);
    entry.writeUInt16LE(nameBytes.length, 28);
    entry.writeUInt32LE(offset, 42);
    directory.push(entry, nameBytes);
    offset += local.length + nameBytes.length + extra.length + packed.length;
  }
  const directoryBytes = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(members.length, 8);
  end.writeUInt16LE(members.length, 10);
  end.writeUInt32LE(directoryBytes.length, 12);
  end.writeUInt32LE(offset, 16);
  end.writeUInt16LE(comment.length, 20);
  return Buffer.concat([...locals, directoryBytes, end, Buffer.from(comment)]);
}
