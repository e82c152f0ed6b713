import { h } from "/assets/preact.js";
import type { VNode } from "/assets/preact.js";
import htm from "/assets/htm.js";

export type View = VNode | null;

/** Elements from a template; a template has one root. */
export const html = htm.bind(h) as (
  strings: TemplateStringsArray,
  ...values: readonly unknown[]
) => VNode;
