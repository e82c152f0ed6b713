import { expertMetrics, perExpertMetrics } from "../../server/metrics/expert-metrics.ts";
import { dashboard } from "./dashboard.ts";
import { bars, series, stateTimeline } from "./panels.ts";
import { largest, rate, total } from "./queries.ts";

const states = [
  ["absent", "#8e8e8e"],
  ["planned", "light-blue"],
  ["building", "blue"],
  ["stored", "purple"],
  ["loading", "yellow"],
  ["resident", "green"],
  ["draining", "light-yellow"],
  ["failed", "red"],
  ["over-budget", "orange"],
  ["suspended", "dark-red"],
  ["off", "#5a5a5a"],
] as const;

/** An expert is in one state, so that the sum is that state's number. */
const stateNumber = states
  .map(([state], index) => {
    return `${index} * ${largest(expertMetrics.state, { by: "instance, expert", where: `state="${state}"` })}`;
  })
  .join(" + ");

const { residentBytes, running, buildSeconds, loadSeconds, stepSeconds } = perExpertMetrics;
const { sparsity, lossIncrease, hits, misses, loads, loadsPutOff } = perExpertMetrics;
const { shadowKl, shadowTopAgreement, shadowRequests } = perExpertMetrics;

const perExpert = { by: "expert" };
const byExpert = (expression: string) => ({ "{{expert}}": expression });

export const experts = dashboard({
  name: "experts",
  title: "Experts",
  about: "What each expert is doing, what it takes, and whether its answers are still good.",
  rows: {
    State: [
      stateTimeline({
        title: "State",
        about: "Of each expert. resident answers; failed, over-budget and suspended need a person.",
        queries: { "{{expert}} {{instance}}": stateNumber },
        states,
      }),
    ],
    "Memory and use": [
      series({
        title: "Memory",
        about: "Of the experts that are loaded, and what all together may take.",
        unit: "bytes",
        queries: {
          "{{expert}}": total(residentBytes, { by: "expert", where: 'expert!="dense"' }),
          budget: total(expertMetrics.memoryBudget),
        },
      }),
      series({
        title: "Memory used",
        about: "Share of the budget. Near 1 with evictions for memory: the budget is too small.",
        unit: "percentunit",
        max: 1,
        queries: {
          used: `${total(residentBytes, { where: 'expert!="dense"' })} / ${total(expertMetrics.memoryBudget)}`,
        },
      }),
      series({
        title: "Running requests",
        about: "By the expert that they run on.",
        unit: "none",
        stacked: true,
        queries: byExpert(total(running, perExpert)),
      }),
      series({
        title: "Hits",
        about: "Requests that each expert was chosen for.",
        unit: "reqps",
        stacked: true,
        queries: byExpert(rate(hits, perExpert)),
      }),
      series({
        title: "Misses",
        about: "Requests of the expert's task that another one answered, as it was not there.",
        unit: "reqps",
        stacked: true,
        queries: byExpert(rate(misses, perExpert)),
      }),
      series({
        title: "Loads and evictions",
        about:
          "Evictions by reason. Many for memory, or loads put off for busier experts: the budget is too small for the tasks.",
        unit: "ops",
        queries: {
          loads: rate(loads),
          "put off": rate(loadsPutOff),
          "evicted: {{reason}}": rate(expertMetrics.evictions, { by: "reason" }),
        },
      }),
    ],
    "Builds and speed": [
      series({
        title: "Builds",
        about: "By how they ended. over_budget: no sparsity keeps the quality that was asked for.",
        unit: "none",
        queries: { "{{outcome}}": total(expertMetrics.builds, { by: "outcome" }) },
      }),
      bars({
        title: "Build time",
        about: "Of the last build, calibration included.",
        unit: "s",
        queries: byExpert(largest(buildSeconds, perExpert)),
      }),
      bars({
        title: "Load time",
        about: "From the disk into memory.",
        unit: "s",
        queries: byExpert(largest(loadSeconds, perExpert)),
      }),
      bars({
        title: "Speed-up of the middle",
        about: "How many times faster than the unpruned layers, measured when it was loaded.",
        unit: "short",
        queries: byExpert(
          `scalar(${largest(stepSeconds, { where: 'expert="dense"' })}) / ${largest(stepSeconds, { by: "expert", where: 'expert!="dense"' })}`,
        ),
      }),
      bars({
        title: "Sparsity",
        about: "Share of the middle's parameters that is gone.",
        unit: "percentunit",
        queries: byExpert(largest(sparsity, perExpert)),
      }),
    ],
    Quality: [
      bars({
        title: "Held-out loss",
        about:
          "Rise of perplexity over the unpruned model on texts of the task, judged at the build.",
        unit: "percentunit",
        queries: byExpert(largest(lossIncrease, perExpert)),
      }),
      series({
        title: "Shadow KL",
        about:
          "Mean divergence a token from the unpruned model, on answers to real requests. Above --shadow-max-kl the expert is suspended.",
        unit: "short",
        queries: byExpert(largest(shadowKl, perExpert)),
      }),
      series({
        title: "Shadow agreement",
        about: "Share of tokens whose most likely next token is the unpruned model's.",
        unit: "percentunit",
        max: 1,
        queries: byExpert(largest(shadowTopAgreement, perExpert)),
      }),
      series({
        title: "Answers compared",
        about: "Of all so far; nothing is concluded from a few.",
        unit: "short",
        queries: byExpert(total(shadowRequests, perExpert)),
      }),
    ],
  },
});
