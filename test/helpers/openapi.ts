import type { Express } from "express";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import type { TestServer } from "./start-server.ts";

type Schema = Readonly<Record<string, unknown>>;

/** As far as tests look at it. */
export interface OpenApi {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

export interface OpenApiOperation {
  readonly operationId: string;
  readonly parameters?: readonly Schema[];
  readonly requestBody?: { readonly content: { readonly "application/json": { schema: Schema } } };
  readonly responses: Readonly<Record<string, unknown>>;
}

export async function fetchDocument({ get }: Pick<TestServer, "get">): Promise<OpenApi> {
  return (await (await get("/openapi.json")).json()) as OpenApi;
}

/** Checks values against the document's schemas. */
export class SchemaChecker {
  readonly #ajv = new Ajv2020({ strict: true, allowUnionTypes: true, logger: false });

  constructor({ components }: OpenApi) {
    // A reference leads from one schema to another of the document.
    this.#ajv.addKeyword("components");
    this.#ajv.addSchema({ $id: "document", components }, "document");
    this.#ajv.addFormat("date-time", (text) => !Number.isNaN(Date.parse(text)));
  }

  /** What does not fit; null where everything does. */
  problemOf(name: string, value: unknown): string | null {
    const validate = this.#ajv.getSchema(
      `document#/components/schemas/${name}`,
    ) as ValidateFunction;
    return validate(value) ? null : this.#ajv.errorsText(validate.errors);
  }
}

/** Methods and paths that an application answers, as `GET /v1/models/{id}`; what refuses other methods is none. */
export function routesOf(app: Express): Set<string> {
  const { stack } = app.router as unknown as {
    readonly stack: readonly {
      readonly route?: {
        readonly path: string;
        readonly methods: Readonly<Record<string, boolean>>;
      };
    }[];
  };
  const routes = stack.flatMap(({ route }) => {
    if (route === undefined) return [];
    const path = route.path.replaceAll(/[:*](\w+)/g, "{$1}");
    return Object.keys(route.methods)
      .filter((method) => method !== "_all")
      .map((method) => `${method.toUpperCase()} ${path}`);
  });
  return new Set(routes);
}
