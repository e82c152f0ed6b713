/**
 * Calls back when the page changes between light and dark, for what is drawn in colours of the moment.
 * @returns ends it
 */
export function watchTheme(onChange: () => void): () => void {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", onChange);
  return () => dark.removeEventListener("change", onChange);
}
