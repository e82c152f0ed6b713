import { createHash } from "node:crypto";
import { z } from "zod";
import { ArtifactError, ModelLoadError } from "../../model/errors.ts";
import type { ArtifactStore } from "../../model/experts/artifact-store.ts";
import { readJsonFile } from "../../model/files/json-file.ts";
import type { Writer } from "./calibration-text.ts";

/** Seconds of writing that may be lost when the process dies. */
const saveSeconds = 15;
const fileName = "answers.json";

const pieceSchema = z.array(
  z.strictObject({
    seed: z.int().nonnegative(),
    maxTokens: z.int().positive(),
    tokenIds: z.array(z.int().nonnegative()),
  }),
);

/**
 * A writer that keeps every answer in the store as it goes, so that a run that was cut short, or one that
 * wants more, goes on from there.
 */
export class KeptAnswers implements Writer {
  readonly #writer: Writer;
  readonly #store: ArtifactStore;
  readonly #prefix: string;
  readonly #answers = new Map<string, Uint32Array>();
  readonly #unsaved: z.input<typeof pieceSchema> = [];
  #loaded: Promise<void> | null = null;
  #savedMs = performance.now();

  /** @param corpus hash of the prompts and of all that decides an answer, but for seed and length */
  constructor(writer: Writer, store: ArtifactStore, corpus: string) {
    this.#writer = writer;
    this.#store = store;
    this.#prefix = `part-answers-${corpus}-`;
  }

  async write(promptIds: Uint32Array, maxTokens: number, seed: number): Promise<Uint32Array> {
    await (this.#loaded ??= this.#load());
    const id = answerId(seed, maxTokens);
    const known = this.#answers.get(id);
    if (known !== undefined) return known;
    const answer = await this.#writer.write(promptIds, maxTokens, seed);
    this.#answers.set(id, answer);
    this.#unsaved.push({ seed, maxTokens, tokenIds: [...answer] });
    if (performance.now() - this.#savedMs >= saveSeconds * 1000) await this.save();
    return answer;
  }

  /** Stores what is not yet. @throws ModelLoadError when the disk refuses. */
  async save(): Promise<void> {
    this.#savedMs = performance.now();
    const piece = this.#unsaved.splice(0);
    if (piece.length === 0) return;
    const content = Buffer.from(JSON.stringify(piece));
    const hash = createHash("sha256").update(content).digest("hex").slice(0, 16);
    await this.#store.write(`${this.#prefix}${hash}`, null, [[fileName, [content]]]);
  }

  async #load(): Promise<void> {
    const keys = (await this.#store.keys()).filter((key) => key.startsWith(this.#prefix));
    for (const key of keys) {
      try {
        const artifact = await this.#store.read(key);
        if (artifact === null) continue;
        for (const answer of readJsonFile(artifact.path(fileName), pieceSchema)) {
          const id = answerId(answer.seed, answer.maxTokens);
          this.#answers.set(id, Uint32Array.from(answer.tokenIds));
        }
      } catch (error) {
        if (!(error instanceof ArtifactError || error instanceof ModelLoadError)) throw error;
        await this.#store.remove(key);
      }
    }
  }
}

function answerId(seed: number, maxTokens: number): string {
  return `${seed} ${maxTokens}`;
}
