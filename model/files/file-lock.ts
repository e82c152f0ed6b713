import { randomUUID } from "node:crypto";
import { link, mkdir, open, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout } from "node:timers/promises";
import { z } from "zod";

export interface FileLockOptions {
  /** Of the lock's file. */
  readonly path: string;
  /** Ends the waiting, with its reason. */
  readonly signal: AbortSignal;
  /** Called once, where there is something to wait for. @param owner for a person */
  readonly onWait?: (owner: string) => void;
  /** Milliseconds without a sign of life after which an owner is taken to be dead. @default 60 s */
  readonly staleMs?: number;
  /** Milliseconds between two looks at the lock. @default 1 s */
  readonly pollMs?: number;
}

const ownerSchema = z.object({ token: z.string(), host: z.string(), pid: z.int().positive() });

type Owner = z.infer<typeof ownerSchema>;

/**
 * Runs `use` while no other process that takes the same lock is in it, on any machine that shares the folder. The lock
 * of a process that died is taken over: at once where the process ran on this machine, else when its file was not
 * touched for a while. In rare races two may hold it, so it must only save work.
 * @throws the signal's reason, and whatever `use` throws
 */
export async function withFileLock<T>(options: FileLockOptions, use: () => Promise<T>): Promise<T> {
  const { path, staleMs = 60_000 } = options;
  const owner = { token: randomUUID(), host: hostname(), pid: process.pid };
  await acquire(options, owner);
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  }, staleMs / 6);
  heartbeat.unref();
  try {
    return await use();
  } finally {
    clearInterval(heartbeat);
    const present = await readOwner(path);
    if (present?.token === owner.token) await rm(path, { force: true });
  }
}

async function acquire(
  { path, signal, onWait, staleMs = 60_000, pollMs = 1000 }: FileLockOptions,
  owner: Owner,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  let [seen, seenAt, isWaiting] = ["", performance.now(), false];
  for (;;) {
    signal.throwIfAborted();
    if (await create(path, owner)) return;
    const other = await readOwner(path);
    const touched = await stat(path).catch(() => null);
    if (touched === null) continue;
    // By this machine's clock alone, as others may go wrong.
    const sign = `${other?.token} ${touched.mtimeMs}`;
    if (sign !== seen) [seen, seenAt] = [sign, performance.now()];
    if ((other && hasDied(other)) || performance.now() - seenAt > staleMs) {
      await takeAway(path, other);
      continue;
    }
    if (!isWaiting) onWait?.(other ? `process ${other.pid} on ${other.host}` : "another process");
    isWaiting = true;
    await setTimeout(pollMs, undefined, { signal }).catch(() => undefined);
  }
}

async function create(path: string, owner: Owner): Promise<boolean> {
  try {
    const file = await open(path, "wx");
    try {
      await file.writeFile(JSON.stringify(owner));
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Null where there is no lock, or one that is just being made. */
async function readOwner(path: string): Promise<Owner | null> {
  try {
    return ownerSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return null;
  }
}

function hasDied({ host, pid }: Owner): boolean {
  if (host !== hostname()) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    // Of another user, but alive.
    return (error as NodeJS.ErrnoException).code !== "EPERM";
  }
}

/** Removes a dead process's lock, unless another process was faster and has its own there. */
async function takeAway(path: string, dead: Owner | null): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch {
    return;
  }
  const moved = await readOwner(aside);
  if (moved?.token !== dead?.token) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}
