/** One analysed source file: its text, the plain JavaScript that esbuild makes of it, and the way back. */

import { basename, resolve } from "node:path";
import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";
import { getLineInfo, type Node, type Program, parse, tokTypes } from "acorn";
import { type Message, transform } from "esbuild";
import { fileLabel } from "./file-label.ts";

export interface SourceText {
  /** Absolute, or any unique name for text that lies in no file. */
  readonly path: string;
  readonly text: string;
}

/** Line and column count from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Why a file cannot be stripped. */
export interface Refusal extends Place {
  readonly reason: string;
}

export interface ParsedSource extends SourceText {
  /** JavaScript without types; still with generators and unresolved build flags. */
  readonly code: string;
  /** Source map of `code`, as JSON. */
  readonly map: string;
  readonly program: Program;
  /** Where each `*` token of `code` starts, ascending. */
  readonly stars: readonly number[];
  /** Place in the original text of a node of `program`. */
  placeOf(node: Node): Place;
}

/** "file:line:column: reason" */
export function formatRefusal(refusal: Refusal): string {
  return `${refusal.file}:${refusal.line}:${refusal.column}: ${refusal.reason}`;
}

/** Place of a character of the original text. */
export function placeAt(source: SourceText, offset: number): Place {
  const { line, column } = getLineInfo(source.text, offset);
  return { file: fileLabel(source.path), line, column: column + 1 };
}

/** esbuild's own complaints (syntax, unresolved imports) in the form of refusals. */
export function refusalsOf(error: unknown, path: string): Refusal[] {
  const messages = (error as { errors?: Message[] }).errors;
  if (!messages) throw error;
  return messages.map(({ text, location }) => ({
    file: location ? fileLabel(resolve(location.file)) : fileLabel(path),
    line: location?.line ?? 1,
    column: (location?.column ?? 0) + 1,
    reason: text,
  }));
}

/** Parses TypeScript or JavaScript, told apart by the name's end. Returns refusals where the syntax is broken. */
export async function parseSource(source: SourceText): Promise<ParsedSource | Refusal[]> {
  try {
    const { code, map } = await transform(source.text, {
      loader: /\.[mc]?js$/.test(source.path) ? "js" : "ts",
      format: "esm",
      target: "esnext",
      sourcemap: "external",
      sourcefile: basename(source.path),
      logLevel: "silent",
    });
    const trace = new TraceMap(map);
    const stars: number[] = [];
    const program = parse(code, {
      ecmaVersion: "latest",
      sourceType: "module",
      onToken: (token) => {
        if (token.type === tokTypes.star) stars.push(token.start);
      },
    });
    const placeOf = (node: Node): Place => {
      const at = originalPositionFor(trace, getLineInfo(code, node.start));
      return { file: fileLabel(source.path), line: at.line ?? 1, column: (at.column ?? 0) + 1 };
    };
    return { ...source, code, map, program, stars, placeOf };
  } catch (error) {
    return refusalsOf(error, source.path).map((refusal) => ({ ...refusal, file: fileLabel(source.path) }));
  }
}
