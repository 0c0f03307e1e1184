/** Where in its author's files a program threw, from V8's stack text. */

/**
 * Where a place in the code that runs is in the text that the program's author wrote, as "file:line:column" (from 1);
 * undefined when it is not his. `file` is a path.
 */
export type PlaceOf = (file: string, line: number, column: number) => string | undefined;

const FRAME = /^\s*at (?:.*? \()?((?:file:\/\/|node:|\/|\w:\\).+?):(\d+):(\d+)\)?$/;

/** For programs that run as they were written: all but oomrace's own files, and Node's. */
export const placeAsWritten: PlaceOf = (file, line, column) =>
  /^node:|[\\/]node_modules[\\/]/.test(file) || isOwn(file) ? undefined : `${file}:${line}:${column}`;

/** The innermost place in a stack that is the author's; undefined without one. */
export function placeInStack(stack: string, placeOf: PlaceOf = placeAsWritten): string | undefined {
  for (const frame of stack.split("\n")) {
    const place = placeInFrame(frame, placeOf);
    if (place !== undefined) return place;
  }
  return undefined;
}

/** The place in one line of a stack, if it is the author's. */
export function placeInFrame(frame: string, placeOf: PlaceOf = placeAsWritten): string | undefined {
  const [, file = "", line, column] = FRAME.exec(frame) ?? [];
  return file === "" ? undefined : placeOf(pathOf(file), Number(line), Number(column));
}

/** "TypeError: no such thing, at mine.ts:3:7" */
export function describeThrown(error: unknown, placeOf?: PlaceOf): string {
  if (!(error instanceof Error)) return String(error);
  const place = placeInStack(error.stack ?? "", placeOf);
  return `${error.name}: ${error.message}${place === undefined ? "" : `, at ${place}`}`;
}

/** Frames name modules by URL, scripts by path. */
function pathOf(file: string): string {
  return file.startsWith("file://") ? decodeURI(new URL(file).pathname) : file;
}

function isOwn(file: string): boolean {
  return OWN.some((folder) => file.startsWith(folder));
}

/** This file's package, run from `src/` or from `dist/`. */
const ROOT = pathOf(new URL(import.meta.url.endsWith(".ts") ? "../../" : "../", import.meta.url).href);
const OWN = [`${ROOT}src/`, `${ROOT}dist/`];
