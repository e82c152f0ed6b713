/** Rows of cells; the first row is the header. */
export type Table = readonly (readonly string[])[];

/** For text and attribute values. */
export function escapeHtml(value: string): string {
  return value
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

/** @param isFirstOfGroup whether a row begins a group, which is set off from what is above it */
export function htmlTable(
  [header, ...rows]: Table,
  isFirstOfGroup: (index: number) => boolean = () => false,
): string {
  const line = (cells: readonly string[], tag: string): string =>
    cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join("");
  const body = rows.map((row, index) => {
    return `<tr${isFirstOfGroup(index) ? ' class="first"' : ""}>${line(row, "td")}</tr>`;
  });
  return `<div class="table"><table>\n<tr>${line(header!, "th")}</tr>\n${body.join("\n")}\n</table></div>`;
}

export interface HtmlPage {
  readonly title: string;
  readonly note: string;
  /** HTML. */
  readonly body: string;
  /** CSS, besides what all pages have: `--text`, `--muted`, `--line` and `--page` are colours of both schemes. */
  readonly styles: string;
}

/** One page that needs nothing else: no script, no font, no network. */
export function htmlPage({ title, note, body, styles }: HtmlPage): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
<style>${commonStyles}${styles}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
<p>${escapeHtml(note)}</p>
${body}
</body>
</html>
`;
}

const commonStyles = `
:root { --text: #1b1f24; --muted: #6a737d; --line: #d8dee4; --page: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --muted: #8b949e; --line: #30363d; --page: #0d1117; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page);
  max-width: 1440px; margin: 0 auto; padding: 24px; }
h1 { font-size: 24px; } h2 { font-size: 18px; margin-top: 36px; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
.figures { display: flex; flex-wrap: wrap; }
figure { margin: 0; overflow-x: auto; }
svg { font: 11px system-ui, sans-serif; max-width: 100%; height: auto; }
svg text { fill: var(--muted); } svg .title { fill: var(--text); font-size: 13px; font-weight: 600; }
`;
