import { h } from "/assets/preact.js";
import type { VNode } from "/assets/preact.js";
import htm from "/assets/htm.js";

export type View = VNode | null;

/** Elements from a template; a template has one root. */
export const html = htm.bind(h) as (
  strings: TemplateStringsArray,
  ...values: readonly unknown[]
) => VNode;

/** Names with their values; those without a value are left out. */
export function factsList(className: string, facts: Facts, label?: string): VNode {
  return html`<dl class=${className} aria-label=${label}>
    ${facts.map(
      ([name, value]) =>
        value !== null &&
        html`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`;
}

export type Facts = readonly (readonly [name: string, value: View | string])[];
