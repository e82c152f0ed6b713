import type { BiasRole, LayerTensorRole, ModelConfig, ModelTensorRole } from "./config.ts";
import { layerTensorShapes, modelTensorShapes } from "./tensor-shapes.ts";
import type { Shape } from "./tensor-shapes.ts";

type LayerRole = LayerTensorRole | BiasRole;

/** What a kind of file calls the tensors of an architecture. */
export interface TensorNames {
  readonly model: Readonly<Record<ModelTensorRole, string>>;
  /**
   * With `{layer}` for the layer's number, and ending in `.weight`; a bias ends in `.bias` instead. Roles of one name are
   * packed in one tensor: their rows follow each other in the order query, key, value, and gate, up.
   */
  readonly layer: Readonly<Record<LayerTensorRole, string>>;
  /** Names of tensors that may be there and carry no weights. */
  readonly ignored: RegExp;
  /** Added to what the file has of norms, some of which keep their distance from 1. @default 0 */
  readonly normOffset?: number;
}

/** A tensor of a file, with the roles whose rows it has, in their order. */
export interface PackedTensor {
  readonly name: string;
  readonly shape: Shape;
  /** Null outside the layers. */
  readonly layer: number | null;
  readonly parts: readonly TensorPart[];
}

export interface TensorPart {
  readonly role: ModelTensorRole | LayerRole;
  readonly shape: Shape;
}

/** The tensors that a file of a model must have. */
export function storedTensors(config: ModelConfig, names: TensorNames): PackedTensor[] {
  const ofModel = grouped(modelTensorShapes(config), (role) => names.model[role], null);
  const ofLayers = config.layers.flatMap((_, layer) =>
    grouped(layerTensorShapes(config, layer), (role) => layerTensorName(names, layer, role), layer),
  );
  return [...ofModel, ...ofLayers];
}

export function layerTensorName(names: TensorNames, layer: number, role: LayerRole): string {
  const projection = role.replace(/Bias$/, "") as LayerTensorRole;
  const name = names.layer[projection].replace("{layer}", String(layer));
  return projection === role ? name : name.replace(/\.weight$/, ".bias");
}

/** One stored tensor for each name. */
function grouped<Role extends TensorPart["role"]>(
  shapes: Readonly<Partial<Record<Role, Shape>>>,
  nameOf: (role: Role) => string,
  layer: number | null,
): PackedTensor[] {
  const parts = new Map<string, TensorPart[]>();
  for (const [key, shape] of Object.entries(shapes) as [Role, Shape][]) {
    const name = nameOf(key);
    parts.set(name, [...(parts.get(name) ?? []), { role: key, shape }]);
  }
  return Array.from(parts, ([name, own]) => {
    const [, ...columns] = own[0]!.shape;
    const rows = own.reduce((sum, { shape }) => sum + shape[0]!, 0);
    return { name, shape: [rows, ...columns], layer, parts: own };
  });
}
