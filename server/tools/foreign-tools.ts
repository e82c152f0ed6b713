import { z } from "zod";

/** A tool of a kind that is not here, such as `web_search` or `custom`: the model is not told of it. */
export interface ForeignTool {
  readonly type: "foreign";
  /** What the client calls it. */
  readonly name: string;
}

/** Response header that says which kinds of tools were left out. */
export const ignoredToolsHeader = "x-seap-ignored-tools";

/** More kinds than any client knows. */
const maxNamed = 16;

/** A tool that is a function, or one of another kind; what is wrong with a function is told as `schema` tells it. */
export function functionOrForeign<Output>(schema: z.ZodType<Output>) {
  return z
    .unknown()
    .transform((value, context): Output | ForeignTool => {
      const { type } = (value ?? {}) as { readonly type?: unknown };
      if (typeof type === "string" && type !== "function") {
        return { type: "foreign", name: /^[\w.-]{1,64}$/.test(type) ? type : "other" };
      }
      const result = schema.safeParse(value);
      if (result.success) return result.data;
      for (const { message, path } of result.error.issues) {
        context.addIssue({ code: "custom", message, path });
      }
      return z.NEVER;
    })
    .meta({ anyOf: [jsonSchemaOf(schema), foreignJsonSchema] });
}

/** Kinds of tools that are left out, each once. */
export function foreignNames(tools: readonly { readonly type: string }[]): string[] {
  const isForeign = (tool: { readonly type: string }): tool is ForeignTool =>
    tool.type === "foreign";
  return [...new Set(tools.filter(isForeign).map(({ name }) => name))].slice(0, maxNamed);
}

const foreignJsonSchema = {
  type: "object",
  properties: { type: { type: "string", not: { const: "function" } } },
  required: ["type"],
} as const;

function jsonSchemaOf(schema: z.ZodType): object {
  const converted = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  delete converted.$schema;
  return converted;
}
