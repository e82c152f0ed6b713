import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, normalize } from "node:path";
import { promisify } from "node:util";
import test, { type ExecutionContext } from "ava";
import { parse, parseAllDocuments } from "yaml";
import { parseConfig } from "../server/config/config.ts";
import { metricAreas } from "../server/metrics/catalogue.ts";
import { skip } from "./helpers/ops-setting.ts";
import { startServer } from "./helpers/start-server.ts";
import { tempDir } from "./helpers/temp-dir.ts";

const run = promisify(execFile);

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}

interface Container {
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly startupProbe: Probe;
  readonly readinessProbe: Probe;
  readonly livenessProbe: Probe;
  readonly lifecycle: { readonly preStop: { readonly exec: { readonly command: string[] } } };
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}

type Labels = Readonly<Record<string, string>>;

interface PodSpec {
  readonly terminationGracePeriodSeconds: number;
  readonly securityContext: { readonly runAsUser: number };
  readonly containers: readonly [Container];
}

/** As far as these tests look at it. */
interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly selector: Labels & { readonly matchLabels: Labels };
    readonly template: { readonly metadata: { readonly labels: Labels }; readonly spec: PodSpec };
    readonly ports: readonly { readonly port: number; readonly targetPort?: string }[];
    readonly targetPorts: readonly { readonly number: number }[];
    readonly endpointPickerRef: { readonly name: string; readonly port: { number: number } };
    readonly scaleTargetRef: { readonly name: string };
    readonly metrics: readonly { readonly pods: { readonly metric: { readonly name: string } } }[];
    readonly podMetricsEndpoints: readonly { readonly port: string; readonly path: string }[];
  };
}

interface ComposeService {
  readonly command: readonly string[];
  readonly environment: Labels;
  readonly ports: readonly string[];
  readonly volumes: readonly string[];
  readonly stop_grace_period: string;
  readonly build: { readonly context: string; readonly dockerfile: string };
}

const read = (path: string) => readFileSync(join("deploy", path), "utf8");
const dockerfile = read("Dockerfile");
const unit = read("seap.service");
const compose = parse(read("compose.yaml")) as {
  readonly services: Readonly<Record<"seap" | "prometheus" | "grafana", ComposeService>>;
};
const manifests = readdirSync("deploy/kubernetes", { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".yaml") && !/kustomization|values/.test(path))
  .flatMap((path) => parseAllDocuments(read(join("kubernetes", path))))
  .map((document) => document.toJS() as Manifest);

function manifest(kind: string, name = "seap"): Manifest["spec"] {
  const found = manifests.find((each) => each.kind === kind && each.metadata.name === name);
  if (found === undefined) throw new Error(`There is no ${kind} ${name}.`);
  return found.spec;
}

const { metadata: podMetadata, spec: pod } = manifest("Deployment").template;
const [container] = pod.containers;

/** Arguments of the process in the systemd unit. */
const unitArgs = /^ExecStart=\/usr\/bin\/node .*\/bin\/seap\.js (.+)$/m.exec(unit)![1]!.split(" ");

/** The image's own, by name. */
const imageEnv = Object.fromEntries(
  [...dockerfile.matchAll(/\b(SEAP_\w+)=(\S+)/g)].map(([, name, value]) => [name!, value!]),
);

test("images, manifests and the systemd unit set only options that there are", (t) => {
  const starts: (readonly [readonly string[], Record<string, string>])[] = [
    [["serve"], imageEnv],
    [compose.services.seap.command, { ...imageEnv, ...compose.services.seap.environment }],
    [
      container.args,
      { ...imageEnv, ...Object.fromEntries(container.env.map(({ name }) => [name, "key"])) },
    ],
    [unitArgs, {}],
  ];
  for (const [[command, ...args], env] of starts) {
    t.is(command, "serve");
    const { config, warnings } = parseConfig({ args, env });
    t.deepEqual(warnings, []);
    t.is(config.port, 8000);
  }
});

test("everything means the same port", (t) => {
  t.regex(dockerfile, /^EXPOSE 8000$/m);
  t.is(imageEnv["SEAP_PORT"], "8000");
  t.deepEqual(compose.services.seap.ports, ["127.0.0.1:8000:8000"]);
  t.like(container.ports, [{ name: "http", containerPort: 8000 }]);
  t.like(manifest("Service").ports, [{ port: 8000, targetPort: "http" }]);
  t.deepEqual(manifest("InferencePool").targetPorts, [{ number: 8000 }]);
  const picker = manifest("InferencePool").endpointPickerRef;
  t.is(manifest("Service", picker.name).ports[0]!.port, picker.port.number);
  const scraped = parse(read("prometheus.yaml")) as {
    readonly scrape_configs: [{ static_configs: [{ targets: string[] }] }];
  };
  t.deepEqual(scraped.scrape_configs[0].static_configs[0].targets, ["seap:8000"]);
});

test("probes and scrapes ask for paths that answer", async (t) => {
  const { get, loaded } = await startServer(t);
  await loaded;
  const probed = [container.startupProbe, container.readinessProbe, container.livenessProbe];
  for (const { httpGet } of probed) t.is(httpGet.port, "http");
  const paths = [
    ...probed.map(({ httpGet }) => httpGet.path),
    ...manifest("PodMonitor").podMetricsEndpoints.map(({ path }) => path),
    /http:\/\/127\.0\.0\.1:\$\{process\.env\.SEAP_PORT\}(\/\w+)/.exec(dockerfile)![1]!,
    /^ {4}http-check send meth GET uri (\S+)$/m.exec(read("haproxy.cfg"))![1]!,
  ];
  for (const path of paths) t.is((await get(path)).status, 200, path);
});

test("whoever stops the server waits longer than it drains", (t) => {
  const drainOf = ([, ...args]: readonly string[]) =>
    parseConfig({ args, env: {} }).config.drainTimeoutSeconds;
  const [, sleep] = container.lifecycle.preStop.exec.command;
  t.true(pod.terminationGracePeriodSeconds > Number(sleep) + drainOf(container.args));
  t.true(
    parseInt(compose.services.seap.stop_grace_period) > drainOf(compose.services.seap.command),
  );
  t.true(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)![1]) > drainOf(unitArgs));
});

test("images have a Node.js that the project runs on", (t) => {
  const { engines } = JSON.parse(readFileSync("package.json", "utf8")) as {
    engines: { node: string };
  };
  const [, oldest] = /^>=(\d+)\./.exec(engines.node)!;
  const bases = [...dockerfile.matchAll(/^FROM node:(\d+)-slim/gm)].map(([, major]) => major!);
  t.deepEqual(bases, [oldest, oldest]);
});

test("the image runs as the user that owns its cache, without root", (t) => {
  const [, user] = /^USER (\d+):\d+$/m.exec(dockerfile)!;
  t.is(pod.securityContext.runAsUser, Number(user));
  t.regex(dockerfile, /^VOLUME \/cache$/m);
  t.is(imageEnv["SEAP_CACHE_DIR"], "/cache");
  t.true(compose.services.seap.volumes.includes("cache:/cache"));
  t.like(
    container.volumeMounts.find(({ name }) => name === "cache"),
    { mountPath: "/cache" },
  );
  t.truthy(manifest("PersistentVolumeClaim", "seap-cache"));
});

test("files and folders that are copied or mounted exist", (t) => {
  const { services } = compose;
  const mounted = Object.values(services).flatMap(({ volumes }) =>
    volumes.filter((volume) => volume.startsWith(".")).map((volume) => volume.split(":")[0]!),
  );
  t.is(mounted.length, 4);
  for (const path of mounted) t.true(existsSync(normalize(join("deploy", path))), path);
  t.true(existsSync(join("deploy", services.seap.build.context, services.seap.build.dockerfile)));
  const { rule_files: rules } = parse(read("prometheus.yaml")) as { rule_files: string[] };
  for (const path of rules) t.true(existsSync(join("grafana", path)), path);
  const dashboards = readFileSync("grafana/provisioning/dashboards/seap.yaml", "utf8");
  t.true(services.grafana.volumes.some((volume) => dashboards.includes(volume.split(":")[1]!)));
  t.true(existsSync("bin/seap.js"));

  const ignored = readFileSync(".dockerignore", "utf8").split("\n");
  const { files } = JSON.parse(readFileSync("package.json", "utf8")) as { files: string[] };
  // "dist" is made in the image.
  for (const file of files) t.true(file === "dist" || !ignored.includes(file), file);
});

test("selectors find the server's pods, and the autoscaler asks for a metric that there is", (t) => {
  const { labels } = podMetadata;
  const selectors = [
    manifest("Service").selector,
    ...["Deployment", "PodDisruptionBudget", "InferencePool", "PodMonitor"].map(
      (kind) => manifest(kind).selector.matchLabels,
    ),
  ];
  for (const selector of selectors) t.like(labels, selector);
  t.is(manifest("HorizontalPodAutoscaler").scaleTargetRef.name, "seap");
  const definitions = metricAreas.flatMap(({ metrics }) => metrics);
  const names = definitions.flatMap(({ name, vllm }) => [name, vllm]);
  const [queue] = manifest("HorizontalPodAutoscaler").metrics;
  t.true(names.includes(queue!.pods.metric.name));
  const adapter = read("kubernetes/monitoring/prometheus-adapter-values.yaml");
  t.true(adapter.includes(`seriesQuery: ${queue!.pods.metric.name}{`));
  t.is(labels["llm-d.ai/engine-type"], "vllm");
  const readByPickers = read("kubernetes/inference-gateway/inference-pool.yaml").match(/vllm:\w+/g);
  t.is(readByPickers?.length, 4);
  for (const name of readByPickers!) t.true(names.includes(name), name);
});

/** What a tool of the machine says; null, and a line about it, where it is not there. */
async function tool(t: ExecutionContext, command: string, ...args: string[]) {
  try {
    const { stdout, stderr } = await run(command, args, { timeout: 60_000 });
    return { stdout, stderr };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    skip(t, `There is no ${command} here.`);
    return null;
  }
}

test("kustomize renders the manifests, with and without what a cluster may lack", async (t) => {
  const plain = await tool(t, "kubectl", "kustomize", "deploy/kubernetes");
  if (plain === null) return;
  const kindsOf = (text: string) =>
    parseAllDocuments(text)
      .map((document) => (document.toJS() as Manifest).kind)
      .sort();
  t.deepEqual(kindsOf(plain.stdout), [
    "Deployment",
    "HorizontalPodAutoscaler",
    "PersistentVolumeClaim",
    "PodDisruptionBudget",
    "Service",
  ]);
  const folder = tempDir(t);
  await run("cp", ["-r", "deploy/kubernetes/.", folder]);
  const kustomization = join(folder, "kustomization.yaml");
  const all = readFileSync(kustomization, "utf8").replace(/^# (components:| {2}- )/gm, "$1");
  writeFileSync(kustomization, all);
  const whole = (await tool(t, "kubectl", "kustomize", folder))!;
  t.is(kindsOf(whole.stdout).length, manifests.length);
});

test("systemd finds nothing wrong with the unit", async (t) => {
  const path = join(tempDir(t), "seap.service");
  writeFileSync(path, unit.replace("/usr/bin/node", process.execPath));
  const said = await tool(t, "systemd-analyze", "verify", path);
  if (said === null) return;
  t.deepEqual(said, { stdout: "", stderr: "" });
});
