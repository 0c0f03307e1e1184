/** How files are called in what people read. */

import { isAbsolute, relative } from "node:path";

/** The name under which people know a file: relative to the working directory where it lies inside it. */
export function fileLabel(path: string): string {
  if (!isAbsolute(path)) return path;
  const inside = relative(process.cwd(), path);
  return inside.startsWith("..") ? path : inside;
}
