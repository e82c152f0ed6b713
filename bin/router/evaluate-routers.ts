import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { RouterError } from "../../router/errors.ts";
import { evaluateRouter } from "../../router/evaluation.ts";
import type { RouterResult, TestSet } from "../../router/evaluation.ts";
import { fitClusterRouter } from "../../router/fit-clusters.ts";
import { fitLogisticRouter } from "../../router/fit-logistic.ts";
import { formatRouterPage } from "../reports/router-page.ts";
import { formatRouterTable } from "../reports/router-tables.ts";
import type { Router, RouterKind } from "../../router/router.ts";
import type { CommandIo } from "../command-line.ts";
import { jsonText } from "../prune/output.ts";
import { readCases } from "./case-file.ts";
import { readDataPrompts } from "./data-prompts.ts";
import type { PromptForm } from "./data-prompts.ts";
import { fittedRouter } from "./fitted-router.ts";
import { randomTexts, singleWords } from "./foreign-prompts.ts";
import { backgroundFor, builtinSource } from "./prompt-source.ts";
import type { Conversation } from "./routed-prompt.ts";
import type { RouterEvalOptions } from "./router-options.ts";
import { withRouterRun } from "./router-run.ts";
import type { RouterRun } from "./router-run.ts";
import { builtinForeign, builtinTests, dataSuites } from "./suites.ts";
import type { DataSuite, TaskFiles } from "./suites.ts";

/** `seap router eval` @throws SeapError, and the signal's reason */
export async function evaluateRouters(
  options: RouterEvalOptions & { readonly json: boolean },
  io: CommandIo,
  signal: AbortSignal,
): Promise<void> {
  if (!existsSync(options.data)) {
    throw new RouterError(`--data: expected a folder, there is no ${options.data}.`);
  }
  await withRouterRun(options, io, signal, async (run) => {
    const evaluation = new RouterEvaluation(run, options);
    const results: RouterResult[] = [];
    for (const suite of dataSuites) {
      results.push(await evaluation.dataSuite(suite, "clusters"));
      if (suite.foreign.length > 0) results.push(await evaluation.dataSuite(suite, "logistic"));
    }
    results.push(...(await evaluation.builtinSuites()));
    mkdirSync(options.out, { recursive: true });
    const model = run.session.name;
    writeFileSync(join(options.out, "report.json"), jsonText(results));
    writeFileSync(join(options.out, "report.html"), formatRouterPage(model, results));
    run.bar.end();
    io.stdout(options.json ? jsonText(results) : formatRouterTable(results));
  });
}

class RouterEvaluation {
  readonly #run: RouterRun;
  readonly #options: RouterEvalOptions;

  constructor(run: RouterRun, options: RouterEvalOptions) {
    this.#run = run;
    this.#options = options;
  }

  async dataSuite(suite: DataSuite, kind: "clusters" | "logistic"): Promise<RouterResult> {
    const { form } = suite;
    const tasks = new Map<string, Float32Array[]>();
    for (const [task, files] of Object.entries(suite.tasks)) {
      const rows: Float32Array[] = [];
      for (const file of files) rows.push(...(await this.#file(file, "calib", form, kind)));
      tasks.set(task, rows);
    }
    const fit = { model: null, falseRejection: this.#options.falseRejection };
    this.#run.bar.line(`${suite.name}: fitting ${kind}`);
    let router: Router;
    if (kind === "logistic") router = fitLogisticRouter({ tasks }, fit);
    else {
      const background = new Map<string, Float32Array[]>();
      const names = Object.keys(suite.tasks);
      // Where the folder's chat is a task, the package's is no background.
      for (const [name, conversations] of backgroundFor(names)) {
        if (name.startsWith("other-") && suite.foreign.length === 0) continue;
        background.set(name, await this.#features(name, conversations, kind));
      }
      router = fitClusterRouter({ tasks, background }, fit);
    }
    const sets = await this.#taskSets(suite.tasks, form, kind);
    if (suite.foreign.length > 0) sets.push(...(await this.#foreignSets(suite.foreign, kind)));
    return evaluateRouter(suite.name, router, sets);
  }

  /** The built-in tasks on data sets, and on cases of our own where there are any. */
  async builtinSuites(): Promise<RouterResult[]> {
    const { router } = await fittedRouter(this.#run, builtinSource(), this.#options);
    const sets = await this.#taskSets(builtinTests, "template", "clusters");
    sets.push(...(await this.#foreignSets(builtinForeign, "clusters")));
    const results = [evaluateRouter("built-in tasks", router, sets)];
    const { cases: path } = this.#options;
    if (!existsSync(path)) {
      this.#run.bar.line(`There are no cases at ${path}: they are left out.`);
      return results;
    }
    const cases = readCases(path);
    const features = await this.#features(
      "cases",
      cases.map(({ messages }) => messages),
      "clusters",
    );
    const byKind = new Map<string, { name: string; task: string | null; rows: Float32Array[] }>();
    for (const [i, { kind, task }] of cases.entries()) {
      const name = task === null ? kind : `${kind}: ${task}`;
      const set = byKind.get(name) ?? { name, task, rows: [] };
      set.rows.push(features[i]!);
      byKind.set(name, set);
    }
    results.push(evaluateRouter("cases", router, [...byKind.values()]));
    return results;
  }

  async #taskSets(tasks: TaskFiles, form: PromptForm, kind: RouterKind): Promise<TestSet[]> {
    const sets: TestSet[] = [];
    for (const [task, files] of Object.entries(tasks)) {
      for (const file of files) {
        sets.push({ name: file, task, rows: await this.#file(file, "eval", form, kind) });
      }
    }
    return sets;
  }

  async #foreignSets(files: readonly string[], kind: RouterKind): Promise<TestSet[]> {
    const sets: TestSet[] = [];
    const add = (name: string, rows: readonly Float32Array[]): void => {
      sets.push({ name, task: null, rows });
    };
    for (const file of files) add(file, await this.#file(file, "eval", "bare", kind));
    const chat = this.#read("chat", "eval", "bare");
    add("random text", await this.#features("random text", randomTexts(), kind));
    add("single words", await this.#features("single words", singleWords(chat), kind));
    return sets;
  }

  async #file(
    name: string,
    part: "calib" | "eval",
    form: PromptForm,
    kind: RouterKind,
  ): Promise<Float32Array[]> {
    return this.#features(`${name}.${part}`, this.#read(name, part, form), kind);
  }

  #read(name: string, part: "calib" | "eval", form: PromptForm): Conversation[] {
    const { data, rows } = this.#options;
    return readDataPrompts(join(data, `${name}.${part}.jsonl`), form, rows);
  }

  #features(
    label: string,
    conversations: readonly Conversation[],
    kind: RouterKind,
  ): Promise<Float32Array[]> {
    return this.#run.features(label, conversations, {
      kind: kind === "logistic" ? "embedding" : "trunk",
      isKept: true,
    });
  }
}
