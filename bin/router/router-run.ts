import { createHash } from "node:crypto";
import { ArtifactError } from "../../model/errors.ts";
import { openSafetensorsFile } from "../../model/files/safetensors.ts";
import { safetensorsChunks } from "../../model/files/safetensors-writer.ts";
import type { FeatureKind } from "../../router/router.ts";
import type { CommandIo } from "../command-line.ts";
import { openModelSession } from "../model-session.ts";
import type { ModelSession } from "../model-session.ts";
import { ProgressBar } from "../progress-bar.ts";
import { encodePrompt } from "./routed-prompt.ts";
import type { Conversation } from "./routed-prompt.ts";
import type { RoutedModelOptions } from "./router-options.ts";
import { TrunkFeatures } from "./trunk-features.ts";

/** Grows when the same prompts give other features. */
export const featuresVersion = 1;
const featuresFileName = "features.safetensors";

/** What a command needs to turn conversations into features. */
export interface RouterRun {
  readonly session: ModelSession;
  readonly bar: ProgressBar;
  /**
   * Features of conversations, in their order.
   * @param label for the progress bar
   */
  features(
    label: string,
    conversations: readonly Conversation[],
    options?: {
      /** @default trunk */
      readonly kind?: FeatureKind;
      /** Read from the cache folder where they are there, and kept there. @default false */
      readonly isKept?: boolean;
    },
  ): Promise<Float32Array[]>;
}

/**
 * Opens the model, lets `use` work with it and closes everything.
 * @throws SeapError, and the signal's reason
 */
export async function withRouterRun<T>(
  options: RoutedModelOptions,
  io: CommandIo,
  signal: AbortSignal,
  use: (run: RouterRun) => Promise<T>,
): Promise<T> {
  const bar = new ProgressBar({
    write: (text) => io.stderr(text),
    isTty: io.stderrIsTty ?? false,
  });
  let session: ModelSession | null = null;
  const loaded: { trunk: TrunkFeatures | null } = { trunk: null };
  try {
    const opened = (session = await openModelSession({
      model: options.model,
      cacheDir: options.cacheDir,
      env: io.env,
      log: (line) => bar.line(line),
      onProgress: ({ phase, receivedBytes, totalBytes }) => {
        if (totalBytes > 0) bar.report(phase, receivedBytes, totalBytes);
      },
    }));
    const { weights: format, threads: numThreads } = options;
    return await use({
      session,
      bar,
      async features(label, conversations, { kind = "trunk", isKept = false } = {}) {
        signal.throwIfAborted();
        const prompts = conversations.map((messages) => encodePrompt(opened.template, messages));
        const hash = createHash("sha256").update(
          JSON.stringify([featuresVersion, opened.weights.contentHash, format, kind]),
        );
        for (const { tokenIds, spans } of prompts)
          hash.update(JSON.stringify(spans)).update(tokenIds);
        const key = `features-${hash.digest("hex").slice(0, 32)}`;
        const stored = isKept ? await readFeatures(opened, key) : null;
        if (stored !== null) return stored;
        const trunk = (loaded.trunk ??= await TrunkFeatures.load(opened.weights, {
          format,
          numThreads,
        }));
        const rows = await trunk.extract(kind, prompts, {
          signal,
          onProgress: (done, total) => bar.report(label, done, total),
        });
        if (isKept) await writeFeatures(opened, key, rows);
        return rows;
      },
    });
  } finally {
    bar.end();
    await loaded.trunk?.release();
    session?.close();
  }
}

async function readFeatures({ store }: ModelSession, key: string): Promise<Float32Array[] | null> {
  let path: string;
  try {
    const artifact = await store.read(key);
    if (artifact === null) return null;
    path = artifact.path(featuresFileName);
  } catch (error) {
    // Computed again.
    if (error instanceof ArtifactError) return null;
    throw error;
  }
  const file = openSafetensorsFile(path);
  try {
    return file.tensorNames.map((_, row) => file.readTensor(`row.${row}`));
  } finally {
    file.close();
  }
}

async function writeFeatures(
  { store }: ModelSession,
  key: string,
  rows: readonly Float32Array[],
): Promise<void> {
  const tensors = rows.map((data, row) => ({ name: `row.${row}`, shape: [data.length], data }));
  const content = safetensorsChunks(tensors, {});
  await store.write(key, { version: featuresVersion }, [[featuresFileName, content]]);
}
