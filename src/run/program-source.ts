/** Where the threads of an exploration find their program: each makes it anew, as generators do not cross threads. */

import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";
import { UsageError } from "../base/errors.ts";
import { checkProgram, type Program } from "../explore/program.ts";
import { describeThrown, type PlaceOf, placeAsWritten, placeInStack } from "../explore/source-place.ts";
import { programOf } from "../scenario/case.ts";
import { findCase } from "../scenario/cases/index.ts";
import { fileLabel } from "../strip/file-label.ts";
import type { BuiltProgram } from "../strip/user-program.ts";

export type ProgramSource =
  | { readonly id: string; readonly fixed: boolean }
  /** URL of a module whose default export is a Program; it runs as it is. */
  | { readonly module: string }
  | BuiltProgram;

const EXPECTED = "expected a program as default export, with words and threads";

/** Throws UsageError when there is none. */
export async function programFrom(source: ProgramSource): Promise<Program> {
  if ("id" in source) {
    const { broken, fixed } = findCase(source.id);
    return programOf(source.fixed ? fixed : broken);
  }
  if (!("file" in source)) return exported(await import(source.module), `explore: ${source.module}`);
  const { file, module, hash } = source;
  const placeOf = placesIn(module);
  const program = exported(await load(source, placeOf), file);
  return { ...program, code: [CODE_HASH, hash, program.code].join(" "), placeOf };
}

async function load({ file, module }: BuiltProgram, placeOf: PlaceOf): Promise<{ default?: unknown }> {
  try {
    return await import(module);
  } catch (error) {
    const place = error instanceof Error ? placeInStack(error.stack ?? "", placeOf) : undefined;
    const thrown = describeThrown(error, () => undefined).replaceAll(/\s*\n\s*/g, " ");
    throw new UsageError(`${place ?? file}: threw ${thrown} while it was loaded, ${EXPECTED}`, { cause: error });
  }
}

/** The program among a module's exports; `where` begins the line that says what is wrong. */
function exported({ default: program }: { default?: unknown }, where: string): Program {
  if (program === undefined) throw new UsageError(`${where}: no default export, ${EXPECTED}`);
  if (typeof program !== "object" || program === null) {
    throw new UsageError(`${where}: default export is a ${typeof program}, ${EXPECTED}`);
  }
  if (!Array.isArray((program as Program).threads)) throw new UsageError(`${where}: no list of threads, ${EXPECTED}`);
  checkProgram(program as Program, where);
  return program as Program;
}

/** Leads from places in the built file to its author's own, by the map in it; what he only installed is not his. */
function placesIn(module: string): PlaceOf {
  const built = fileURLToPath(module);
  let map: TraceMap | undefined;
  return (file, line, column) => {
    if (file !== built) return placeAsWritten(file, line, column);
    map ??= new TraceMap(inlineMap(readFileSync(built, "utf8")));
    const at = originalPositionFor(map, { line, column: column - 1 });
    if (at.source === null || /(^|\/)node_modules\//.test(at.source)) return undefined;
    return `${fileLabel(resolve(dirname(built), at.source))}:${at.line}:${at.column + 1}`;
  };
}

function inlineMap(text: string): string {
  const base64 = /^\/\/# sourceMappingURL=data:application\/json;base64,(.+)$/m.exec(text)?.[1] ?? "";
  return Buffer.from(base64, "base64").toString("utf8");
}
