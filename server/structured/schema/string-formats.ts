const date =
  "\\d{4}-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8]))";
const time = "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)";
const octet = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
/** Without what only some readers of URLs take: users, numbers for the last label, two hyphens in a row. */
const host = `(${octet}(\\.${octet}){3}|([a-z0-9]+(-[a-z0-9]+)*\\.)*[a-z][a-z0-9]*(-[a-z0-9]+)*)`;
const label = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?";

/**
 * What texts of a format look like, as patterns that only such texts match; not all of them. JSON Schema leaves it to
 * the server whether it looks at formats; those that are not here say nothing.
 */
export const stringFormats: ReadonlyMap<string, string> = new Map([
  ["date", date],
  ["time", time],
  ["date-time", `${date}T${time}`],
  ["duration", "P(\\d{1,4}[YMWD]|T\\d{1,4}[HMS])"],
  ["email", `[A-Za-z0-9_+-]+(\\.[A-Za-z0-9_+-]+)*@${label}(\\.[A-Za-z]{2,})+`],
  ["hostname", `${label}(\\.${label})*`],
  ["ipv4", `${octet}(\\.${octet}){3}`],
  ["ipv6", "([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}"],
  ["uri", `[a-z][a-z0-9+.-]*://${host}(:\\d{1,4})?([/?#][A-Za-z0-9._~:/?#@!$&'()*+,;=-]*)?`],
  ["uuid", "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"],
]);
