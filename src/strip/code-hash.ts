/** A name for the source that a build is made of. */

import { createHash } from "node:crypto";
import { relative } from "node:path";
import type { Analysis } from "./strip.ts";

/** Of the paths, as seen from `root`, and the code of all sources: 16 hexadecimal digits. Schedules carry it, as they fit no other code. */
export function codeHash({ sources }: Pick<Analysis, "sources">, root: string): string {
  const hash = createHash("sha256");
  const texts = [...sources.values()].map(({ path, code }) => `${relative(root, path)}\n${code}\n`);
  for (const text of texts.sort()) hash.update(text);
  return hash.digest("hex").slice(0, 16);
}
