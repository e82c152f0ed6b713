import type { PinnedModel } from "../../model/source/pinned-model.ts";

export interface ListedModel {
  readonly model: PinnedModel;
  /** Of it in the cache folder, 0 to 1. */
  readonly share: number;
  /** Where it lies, or will. */
  readonly path: string;
}

/** A table for a person. */
export function formatModels(models: readonly ListedModel[]): string {
  const header = ["NAME", "MODEL", "BITS", "SIZE", "LICENSE", "IN THE CACHE"];
  const rows = models.map(({ model, share }) => [
    model.name,
    model.title,
    model.quantisation,
    `${Math.round(model.sizeBytes / 1e6)} MB`,
    model.license.name + (model.license.isToBeAccepted === true ? " (to be accepted)" : ""),
    cached(share),
  ]);
  const widths = header.map((_, i) => Math.max(...[header, ...rows].map((row) => row[i]!.length)));
  const lines = [header, ...rows].map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join("  ")
      .trimEnd(),
  );
  return `${lines.join("\n")}\n`;
}

function cached(share: number): string {
  if (share === 1) return "yes";
  return share === 0 ? "no" : `${Math.floor(share * 100)} %`;
}
