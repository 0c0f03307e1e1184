/** Breaking running text into lines that fit a wide terminal. */

/** Columns of every report. */
export const REPORT_WIDTH = 120;

/** Lines of at most `width` columns where the words allow it: the first indented by `first`, the others by `rest`. */
export function wrap(text: string, first = 0, rest = first, width = REPORT_WIDTH): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const indent = lines.length === 0 ? first : rest;
    if (line !== "" && indent + line.length + 1 + word.length > width) {
      lines.push(" ".repeat(indent) + line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  lines.push(" ".repeat(lines.length === 0 ? first : rest) + line);
  return lines.join("\n");
}
