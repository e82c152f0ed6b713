/** Other servers' names of parameters that are here. */
export const aliases = {
  // llama.cpp's
  n_predict: "max_tokens",
  repeat_penalty: "repetition_penalty",
  // Ollama's
  num_predict: "max_tokens",
} as const;

type Alias = keyof typeof aliases;
type Aliased = (typeof aliases)[Alias];

/** The fields, and those of them that have other names under these too. */
export function withAliases<Fields extends Readonly<Record<Aliased, object>>>(
  fields: Fields,
): Fields & { readonly [Name in Alias]: Fields[(typeof aliases)[Name]] } {
  const others = Object.entries(aliases).map(([name, of]) => [name, fields[of]]);
  return { ...fields, ...Object.fromEntries(others) } as ReturnType<typeof withAliases<Fields>>;
}

/** A parameter under whichever of its names the client has used, its own first; undefined for none. */
export function findNamed<Value = number>(
  body: { readonly [Name in Alias | Aliased]?: Value | undefined },
  name: Aliased,
): { readonly field: string; readonly value: Value } | undefined {
  const names = [name, ...(Object.keys(aliases) as Alias[]).filter((key) => aliases[key] === name)];
  const field = names.find((each) => body[each] !== undefined);
  return field && { field, value: body[field]! };
}
