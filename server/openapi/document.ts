import { z } from "zod";
import { answers } from "./answers.ts";
import {
  answerSchemas,
  type JsonSchema,
  refTo,
  requestSchemas,
  withKnown,
} from "./json-schemas.ts";
import { type Operation, operations } from "./operations.ts";
import { knownParameters, type RequestName, requests } from "./requests.ts";

export interface DocumentOptions {
  /** Of the server. */
  readonly version: string;
  /** HTTP status of each error code. */
  readonly errorStatuses: Readonly<Record<string, number>>;
}

/** The HTTP interface as OpenAPI 3.1, made from the schemas that requests are checked with. */
export function openApiDocument({ version, errorStatuses }: DocumentOptions): object {
  return {
    openapi: "3.1.0",
    info: {
      title: "seap-server",
      version,
      license: { name: "Apache 2.0", identifier: "Apache-2.0" },
      description:
        "An inference server with the OpenAI API. Unknown fields of a request are ignored; null is the same as absent.",
    },
    // A server may be started without API keys.
    security: [{}, { apiKey: [] }],
    paths: pathsOf(operations),
    components: {
      securitySchemes: { apiKey: { type: "http", scheme: "bearer" } },
      schemas: { ...knownRequestSchemas(), ...answerSchemas(answers) },
      responses: {
        ClientError: errorResponse(errorStatuses, "The request", (status) => status < 500),
        ServerError: errorResponse(errorStatuses, "The server", (status) => status >= 500),
      },
    },
  };
}

function knownRequestSchemas(): Record<string, JsonSchema> {
  const schemas = Object.entries(requestSchemas(requests)).map(([name, schema]) => {
    return [name, withKnown(schema, knownParameters[name as RequestName] ?? {})] as const;
  });
  return Object.fromEntries(schemas);
}

function pathsOf(all: readonly Operation[]): Record<string, Record<string, object>> {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of all)
    (paths[operation.path] ??= {})[operation.method] = describe(operation);
  return paths;
}

function describe({ path, id, tag, summary, request, query, ...rest }: Operation): object {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
  const parameters = [...inPath, ...(query === undefined ? [] : queryParameters(query))];
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(parameters.length > 0 && { parameters }),
    ...(request !== undefined && {
      requestBody: { required: true, content: json(refTo(request)) },
    }),
    responses: {
      [String(rest.status ?? 200)]: { description: "Success.", ...contentOf(rest) },
      "4XX": { $ref: "#/components/responses/ClientError" },
      "5XX": { $ref: "#/components/responses/ServerError" },
    },
  };
}

function queryParameters(query: z.ZodObject): object[] {
  const { properties = {} } = z.toJSONSchema(query, { io: "input" });
  return Object.entries(properties).map(([name, schema]) => ({ name, in: "query", schema }));
}

function contentOf({ answer, event, text }: Pick<Operation, "answer" | "event" | "text">): object {
  if (answer === undefined && text === undefined) return {};
  const stream = {
    type: "string",
    description: `Events whose data is a ${event}; where something fails, an Error is the last.`,
  };
  const content = {
    ...(answer !== undefined && json(refTo(answer))),
    ...(event !== undefined && { "text/event-stream": { schema: stream } }),
    ...(text !== undefined && {
      [text]: { schema: text === "text/plain" ? { type: "string" } : {} },
    }),
  };
  return { content };
}

function errorResponse(
  statuses: DocumentOptions["errorStatuses"],
  whose: string,
  isOfIt: (status: number) => boolean,
): object {
  const codes = Object.entries(statuses).filter(([, status]) => isOfIt(status));
  const list = codes.map(([code, status]) => `\`${code}\` (${status})`).join(", ");
  return {
    description: `${whose} is at fault. Codes: ${list}.`,
    content: json(refTo("Error")),
  };
}

function json(schema: JsonSchema): object {
  return { "application/json": { schema } };
}
