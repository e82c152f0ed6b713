const months =
  "January February March April May June July August September October November December".split(
    " ",
  );
const days = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");

/** Python's `strftime` in local time and English, for the directives that chat templates use. */
export function strftime(date: Date, format: string): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const month = months[date.getMonth()]!;
  const day = days[date.getDay()]!;
  const values: Readonly<Record<string, string>> = {
    Y: String(date.getFullYear()),
    m: two(date.getMonth() + 1),
    d: two(date.getDate()),
    B: month,
    b: month.slice(0, 3),
    A: day,
    a: day.slice(0, 3),
    H: two(date.getHours()),
    M: two(date.getMinutes()),
    S: two(date.getSeconds()),
    "%": "%",
  };
  return format.replace(/%(.)/g, (directive, letter: string) => values[letter] ?? directive);
}
