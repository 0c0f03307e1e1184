/**
 * Loads a user's program for the explorer: a file outside the package. It is bundled, not stripped, as the explorer runs
 * generators; `oomrace/kernel` inside it means the explorer's own instance, wherever the file lies.
 */

import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { hashString } from "../base/bits.ts";
import { UsageError } from "../base/errors.ts";
import { fileLabel } from "./file-label.ts";
import { neverRun } from "./never-run.ts";
import { type ParsedSource, parseSource, type Refusal, refusalsOf } from "./source.ts";
import { describeRefusals } from "./strip.ts";
import { buildFolder, bundle, collectSources, entryFile, kernelNames, unknownImports } from "./user-module.ts";

const VARIANT = "interleaved";

/** Built so far: a module that was imported stays what it was. */
let programs = 0;

export interface BuiltProgram {
  /** As people know the file. */
  readonly file: string;
  /** URL of what is imported in its place; it lives as long as the thread that built it. */
  readonly module: string;
  /** Of all code in it, but for the kernel's. */
  readonly hash: number;
}

/** Throws UsageError: a line for each thing that is wrong, "file:line:column: reason". */
export async function buildUserProgram(path: string): Promise<BuiltProgram> {
  const entry = resolve(path);
  const file = fileLabel(entry);
  const real = entryFile(entry);
  const known = kernelNames();
  const parsed = await Promise.all(collectSources(real).map(parseSource));
  const broken = parsed.filter((one): one is Refusal[] => Array.isArray(one)).flat();
  const sources = parsed.filter((one): one is ParsedSource => !Array.isArray(one));
  const kernel = new Set(known.functions);
  const unknown = unknownImports({ sources: new Map(sources.map((source) => [source.path, source])) }, known);
  const refusals = [...broken, ...unknown, ...sources.flatMap((source) => neverRun(source, kernel))];
  if (refusals.length > 0) throw new UsageError(describeRefusals(refusals));
  try {
    const built = join(buildFolder(), `program-${++programs}.mjs`);
    const text = await bundle(real, VARIANT, { file: built, keepNames: true });
    writeFileSync(built, text);
    return { file, module: pathToFileURL(built).href, hash: hashString(codeIn(text)) };
  } catch (error) {
    throw new UsageError(describeRefusals(refusalsOf(error, entry)), { cause: error });
  }
}

/** Without the bundler's comments, whose paths depend on the working directory. */
function codeIn(text: string): string {
  return text.replaceAll(/^\/\/.*$/gm, "");
}
