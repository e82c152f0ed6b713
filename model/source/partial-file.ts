import { open, readFile, rename, rm, writeFile } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { z } from "zod";
import { ModelLoadError } from "../errors.ts";

/** Bytes `start` up to `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

const journalSchema = z.object({
  sha256: z.string(),
  done: z.array(z.object({ start: z.int().nonnegative(), end: z.int().positive() })),
});

/**
 * A file that is fetched in pieces, in any order; a journal beside it says which bytes are there, so that fetching goes
 * on where it was broken off, in another process too.
 */
export class PartialFile {
  readonly path: string;
  readonly #sha256: string;
  readonly #sizeBytes: number;
  readonly #handle: FileHandle;
  #done: readonly ByteRange[];
  #journals = Promise.resolve();

  private constructor(
    path: string,
    content: { readonly sha256: string; readonly sizeBytes: number },
    handle: FileHandle,
    done: readonly ByteRange[],
  ) {
    this.path = path;
    this.#sha256 = content.sha256;
    this.#sizeBytes = content.sizeBytes;
    this.#handle = handle;
    this.#done = done;
  }

  /**
   * @param content what the file is to become; what is there of another is dropped
   * @throws ModelLoadError when it cannot be written
   */
  static async open(
    path: string,
    content: { readonly sha256: string; readonly sizeBytes: number },
  ): Promise<PartialFile> {
    const journal = await readJournal(path);
    const known = journal?.sha256 === content.sha256 ? journal.done : [];
    const handle = await writing(path, async () => {
      const found = await open(path, "r+").catch(() => null);
      if (found === null) return open(path, "w+");
      return found;
    });
    const { size } = await handle.stat();
    const done = known.filter(({ end }) => end <= size);
    return new PartialFile(path, content, handle, merged(done));
  }

  get doneBytes(): number {
    return this.#done.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  /** What is missing, in order. */
  gaps(): ByteRange[] {
    const starts = [0, ...this.#done.map(({ end }) => end)];
    const ends = [...this.#done.map(({ start }) => start), this.#sizeBytes];
    return starts
      .map((start, i) => ({ start, end: ends[i]! }))
      .filter(({ start, end }) => start < end);
  }

  has({ start, end }: ByteRange): boolean {
    return this.#done.some((range) => range.start <= start && range.end >= end);
  }

  /** @throws ModelLoadError when it cannot be written */
  async write(position: number, bytes: Uint8Array): Promise<void> {
    await writing(this.path, async () => {
      for (let at = 0; at < bytes.length;) {
        const { bytesWritten } = await this.#handle.write(
          bytes,
          at,
          bytes.length - at,
          position + at,
        );
        at += bytesWritten;
      }
    });
  }

  /** Notes that these bytes are there. */
  async markDone(range: ByteRange): Promise<void> {
    this.#done = merged([...this.#done, range]);
    const text = JSON.stringify({ sha256: this.#sha256, done: this.#done });
    this.#journals = this.#journals.then(() =>
      writing(this.path, async () => {
        await this.#handle.datasync();
        const temporary = `${journalPath(this.path)}.new`;
        await writeFile(temporary, text);
        await rename(temporary, journalPath(this.path));
      }),
    );
    await this.#journals;
  }

  async close(): Promise<void> {
    await this.#journals.catch(() => undefined);
    await this.#handle.close();
  }

  /** Moves the whole file to its place. It is closed before. */
  async install(path: string): Promise<void> {
    await writing(path, () => rename(this.path, path));
    await rm(journalPath(this.path), { force: true });
  }

  /** Gives up what is there. It is closed before. */
  async remove(): Promise<void> {
    await rm(this.path, { force: true });
    await rm(journalPath(this.path), { force: true });
  }
}

/** Bytes that a file which is fetched in pieces has already, when it is to become this content. */
export async function partialBytes(path: string, sha256: string): Promise<number> {
  const journal = await readJournal(path);
  if (journal?.sha256 !== sha256) return 0;
  return merged(journal.done).reduce((sum, { start, end }) => sum + end - start, 0);
}

function journalPath(path: string): string {
  return `${path}.json`;
}

async function readJournal(path: string): Promise<z.infer<typeof journalSchema> | null> {
  const text = await readFile(journalPath(path), "utf8").catch(() => null);
  if (text === null) return null;
  try {
    return journalSchema.parse(JSON.parse(text));
  } catch {
    // What was written when the machine went down.
    return null;
  }
}

/** In order, none touching the next. */
function merged(ranges: readonly ByteRange[]): ByteRange[] {
  const result: ByteRange[] = [];
  for (const range of ranges.toSorted((a, b) => a.start - b.start)) {
    const last = result.at(-1);
    if (last && range.start <= last.end) {
      result[result.length - 1] = { start: last.start, end: Math.max(last.end, range.end) };
    } else result.push(range);
  }
  return result;
}

async function writing<T>(path: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (cause) {
    throw new ModelLoadError(path, `cannot be written (${(cause as Error).message})`, { cause });
  }
}
