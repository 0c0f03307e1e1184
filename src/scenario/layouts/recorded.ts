/**
 * Real processes, recorded with `oomrace record` and kept in recordings/ of the package. A new one is its file and a line
 * here.
 */

import { fileURLToPath } from "node:url";
import type { LayoutKind } from "../layout.ts";
import { readSmapsFile } from "../process.ts";
import { refuseSizes } from "./request.ts";

/** The layout `name` is the recording recordings/`name`.smaps. */
function recorded(name: string, idea: string): LayoutKind {
  return {
    name,
    idea,
    sizes: [],
    onDemand: true,
    build(request) {
      refuseSizes(name, request);
      return readSmapsFile(recordingPath(name), name, idea, request.seed);
    },
  };
}

/** The package's folder, seen from this file or from the bundle in dist/ that holds it. */
const PACKAGE = import.meta.url.endsWith(".ts") ? "../../../" : "../";

export function recordingPath(name: string): string {
  return fileURLToPath(new URL(`${PACKAGE}recordings/${name}.smaps`, import.meta.url));
}

export const RECORDED: readonly LayoutKind[] = [
  recorded("node", "recorded: Node 20 running the TypeScript compiler over a project"),
  recorded("cc1plus", "recorded: g++ compiling a file that includes most of the standard library"),
  recorded("postgres", "recorded: a PostgreSQL 15 backend in the middle of a sort and a hash join"),
  recorded("redis", "recorded: Redis 7 with 200 MB of keys, its heap in huge pages"),
  recorded("chromium", "recorded: the renderer of a headless Chromium with a page of 20,000 elements"),
];
