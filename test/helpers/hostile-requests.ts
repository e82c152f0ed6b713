import fc from "fast-check";

/** A request that costs its sender little, and means harm. */
export interface HostileRequest {
  /** Of its kind, for reports. */
  readonly kind: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const json = { "content-type": "application/json" };
const messages = [{ role: "user", content: "Go on." }];
const limit = { max_tokens: 24 };

/** Requests of every kind that once hurt others, and their neighbours. */
export const hostileRequest: fc.Arbitrary<HostileRequest> = fc.oneof(
  chat("denormal temperature", fc.double({ min: 0, max: 1e-290, noNaN: true }), (temperature) => ({
    temperature,
    top_p: 0.5,
  })),
  chat("rules that begin with each other", fc.integer({ min: 4, max: 40 }), (numRules) => ({
    grammar: rulesInRules(numRules),
  })),
  chat(
    "chain of definitions",
    fc.tuple(fc.integer({ min: 4, max: 40 }), fc.integer({ min: 1, max: 4 }), fc.boolean()),
    ([depth, width, inTools]) => {
      const schema = chainOfDefinitions(depth, width);
      const parameters = { type: "object", properties: { a: { $ref: "#/$defs/d0" } }, ...schema };
      return inTools
        ? { tools: [{ type: "function", function: { name: "f", parameters } }] }
        : { response_format: { type: "json_schema", json_schema: { name: "a", schema } } };
    },
  ),
  chat("long stop strings", fc.integer({ min: 1000, max: 500_000 }), (length) => ({
    stop: ["ab".repeat(length / 2)],
    n: 4,
  })),
  chat("long prompt", fc.integer({ min: 10_000, max: 1_000_000 }), (length) => ({
    messages: [{ role: "user", content: "7".repeat(length) }],
  })),
  chat(
    "class of many characters",
    fc.array(fc.integer({ min: 0x100, max: 0xd000 }), { minLength: 100, maxLength: 4000 }),
    (codePoints) => ({ guided_regex: `[^${String.fromCodePoint(...codePoints)}]+` }),
  ),
  chat(
    "counts of counts",
    fc.tuple(fc.integer({ min: 2, max: 99 }), fc.integer({ min: 1, max: 4 })),
    ([count, depth]) => ({ guided_regex: `${"(".repeat(depth)}x${`{1,${count}})`.repeat(depth)}` }),
  ),
  chat("long list of values", fc.integer({ min: 100, max: 15_000 }), (length) => ({
    guided_json: { enum: Array.from({ length }, (_, i) => `value number ${i * 7919}`) },
  })),
  chat("many places of a grammar", fc.integer({ min: 1, max: 3 }), (depth) => ({
    guided_regex: `(${"[a-z ]*".repeat(depth)}){0,200}!`,
    max_tokens: 100,
  })),
  chat("reference to nothing", fc.string({ unit: "binary", maxLength: 20 }), (text) => ({
    guided_json: { $ref: `#/${text.includes("%") ? text : `%zz${text}`}` },
  })),
  chat("many answers", fc.integer({ min: 2, max: 16 }), (n) => ({ n })),
  chat("deep nesting", fc.integer({ min: 100, max: 200_000 }), (depth) => ({
    metadata: "[".repeat(depth) + "]".repeat(depth),
  })).map((request) => ({
    ...request,
    // A list in a list and so on, which `JSON.stringify` could not have written.
    body: Buffer.from(request.body.toString().replace(/"(\[+\]+)"/, (_, lists: string) => lists)),
  })),
  fc.tuple(fc.integer({ min: 0x80, max: 0xff }), fc.nat(20)).map(([byte, place]) => {
    const body = Buffer.from(JSON.stringify({ messages, ...limit, user: "x".repeat(40) }));
    body[body.length - 5 - place] = byte;
    return request("no UTF-8", "/v1/chat/completions", json, body);
  }),
  fc
    .constantFrom("code", "math", "chat")
    .map((task) =>
      request("foreign page", `/v1/experts/${task}/evict`, { origin: "http://evil.example" }),
    ),
  fc.constantFrom("code", "math", "chat").map((task) =>
    chatRequest(
      "one that waits",
      { messages, ...limit, model: `tiny:${task}` },
      {
        "x-seap-while-building": "wait",
      },
    ),
  ),
);

function chat<T>(
  kind: string,
  arbitrary: fc.Arbitrary<T>,
  fieldsOf: (value: T) => object,
): fc.Arbitrary<HostileRequest> {
  return arbitrary.map((value) => chatRequest(kind, { messages, ...limit, ...fieldsOf(value) }));
}

function chatRequest(
  kind: string,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): HostileRequest {
  const bytes = Buffer.from(JSON.stringify(body));
  return request(kind, "/v1/chat/completions", { ...json, ...headers }, bytes);
}

function request(
  kind: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: Buffer = Buffer.alloc(0),
): HostileRequest {
  return { kind, path, headers, body };
}

/** Each rule begins with the next one, in two ways: the places that a first byte can come from double with each. */
function rulesInRules(numRules: number): string {
  const rules = Array.from({ length: numRules }, (_, i) => {
    const next = i === numRules - 1 ? '"y"' : `r${i + 1}`;
    return `r${i} ::= ${next} "x" | ${next} "y"`;
  });
  return ["root ::= r0", ...rules].join("\n");
}

/** Each definition refers to the next one several times. */
function chainOfDefinitions(depth: number, width: number): object {
  const definitions = Array.from({ length: depth }, (_, i): [string, object] => {
    const ref = { $ref: `#/$defs/d${i + 1}`, description: `level ${i}` };
    const names = Array.from({ length: width }, (_, place) => `p${place}`);
    const properties = Object.fromEntries(names.map((name) => [name, ref] as const));
    return [`d${i}`, { type: "object", properties, required: names }];
  });
  definitions.push([`d${depth}`, { type: "integer" }]);
  return { $ref: "#/$defs/d0", $defs: Object.fromEntries(definitions) };
}
