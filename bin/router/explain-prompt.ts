import type { TemplateMessage } from "../../model/text/chat-template.ts";
import type { Decision } from "../../router/router.ts";
import { readRouterFile } from "../../router/router-file.ts";
import type { CommandIo } from "../command-line.ts";
import { jsonText, percent } from "../prune/output.ts";
import { fittedRouter } from "./fitted-router.ts";
import { builtinSource, folderSource } from "./prompt-source.ts";
import type { ExplainOptions } from "./router-options.ts";
import { withRouterRun } from "./router-run.ts";

/** `seap router explain` @throws SeapError, and the signal's reason */
export async function explainPrompt(
  prompt: string,
  options: ExplainOptions & { readonly json: boolean },
  io: CommandIo,
  signal: AbortSignal,
): Promise<void> {
  const { system } = options;
  const messages: TemplateMessage[] = [
    ...(system === undefined ? [] : [{ role: "system", content: system }]),
    { role: "user", content: prompt },
  ];
  await withRouterRun(options, io, signal, async (run) => {
    const model = run.session.weights.contentHash;
    const router =
      options.router === undefined
        ? (
            await fittedRouter(
              run,
              options.data === undefined ? builtinSource() : folderSource(options.data),
              options,
            )
          ).router
        : readRouterFile(options.router, model);
    const [features] = await run.features("reading the prompt", [messages], {
      kind: router.featureKind,
    });
    const decision = router.route(features!);
    run.bar.end();
    io.stdout(options.json ? jsonText(decision) : formatDecision(decision));
  });
}

/** As text for a terminal. */
function formatDecision(decision: Decision): string {
  const { task, reason, confidence, margin, strangeness, threshold, scores, nearest } = decision;
  const lines = [
    `task        ${task ?? "none"} (${reason})`,
    `confidence  ${percent(confidence)}`,
    `margin      ${margin.toFixed(2)} (log-odds of ${scores.length > 1 ? `${scores[0]!.task} over ${scores[1]!.task}` : "the only task"})`,
    `strangeness ${strangeness.toFixed(2)}, none of the tasks above ${threshold.toFixed(2)}`,
    "",
    "tasks:",
    ...scores.map(({ task: name, probability }) => `  ${name.padEnd(16)}${percent(probability)}`),
  ];
  if (nearest.length > 0) {
    lines.push("", "nearest clusters:");
    for (const { task: name, cluster, distance } of nearest) {
      lines.push(
        `  ${`${name ?? "no task"} #${cluster + 1}`.padEnd(20)}distance ${distance.toFixed(2)}`,
      );
    }
  }
  return `${lines.join("\n")}\n`;
}
