export interface PrefixNode<Value> {
  readonly children: Map<number, PrefixNode<Value>>;
  /** Of the text that ends here; null where none does. */
  value: Value | null;
}

/** Texts by their UTF-16 units. */
export class PrefixTree<Value> {
  readonly root: PrefixNode<Value> = { children: new Map(), value: null };

  /** A text that is there already keeps its value. */
  add(text: string, value: Value): void {
    let node = this.root;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      let child = node.children.get(code);
      if (child === undefined) {
        child = { children: new Map(), value: null };
        node.children.set(code, child);
      }
      node = child;
    }
    node.value ??= value;
  }
}
