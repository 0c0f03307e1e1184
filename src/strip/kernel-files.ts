/** Which files are emulated kernel: analysed together, and stripped for all builds but the interleaved one. */

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { SourceText } from "./source.ts";

export const KERNEL_FOLDERS = ["arena", "trace", "sync", "mm", "task", "oom", "machine", "check"] as const;
const KERNEL_PLACES = [...KERNEL_FOLDERS.map((name) => `src/${name}`), "src/kernel.ts", "workers"];

/** The seam to shared memory: the only kernel file with scheduling points of its own. */
export function seamFile(root: string): string {
  return join(root, "src", "arena", "mem.ts");
}

/** Every kernel file under the repository `root`, sorted by path. */
export function kernelFiles(root: string): SourceText[] {
  return KERNEL_PLACES.flatMap((place) => typescriptFiles(join(root, place)))
    .sort()
    .map((path) => ({ path, text: readFileSync(path, "utf8") }));
}

function typescriptFiles(path: string): string[] {
  if (!existsSync(path)) return [];
  if (statSync(path).isFile()) return [path];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
    .map((name) => join(path, name));
}
