/** Who uses KV memory of the budget as long as no sequence needs it. */
export interface KvBorrower {
  readonly kvBytes: number;
  giveBack(): void;
}
