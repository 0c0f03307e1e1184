/** One job of an exploration: a thread that executes chunk after chunk of the executions, of a program that it makes itself. */

import { UsageError } from "../base/errors.ts";
import { type ExploreOptions, Explorer, type SearchPart } from "../explore/explore.ts";
import type { Program } from "../explore/program.ts";
import { programOf } from "../scenario/case.ts";
import { findCase } from "../scenario/cases/index.ts";
import type { WireError } from "./messages.ts";
import { toWire } from "./wire-error.ts";

/** Where every thread finds the program: generators do not cross threads. */
export type ProgramSource =
  | { readonly id: string; readonly fixed: boolean }
  /** URL of a module whose default export is a Program. */
  | { readonly module: string };

/** Words that all jobs of an exploration share. */
export const JobBoard = {
  /** Lowest number of a chunk in which an execution failed: nobody needs what comes after it. */
  failedChunk: 0,
  /** 1: time is up, or the user has had enough. */
  stopped: 1,
  WORDS: 2,
} as const;

export interface ChunkRequest {
  readonly source: ProgramSource;
  readonly options: ExploreOptions;
  readonly board: Int32Array;
  readonly chunk: number;
  /** Executions [from, to). */
  readonly from: number;
  readonly to: number;
}

export type ChunkReply = { readonly part: SearchPart } | { readonly error: WireError };

/** This thread's. It serves one exploration in its life. */
let explorer: Promise<Explorer> | undefined;

/** Never rejects, as an error on its way to the other thread would lose its name. */
export async function searchChunk(request: ChunkRequest): Promise<ChunkReply> {
  const { source, options, board, chunk, from, to } = request;
  try {
    explorer ??= programFrom(source).then((program) => new Explorer(program, options));
    const stopped = (): boolean =>
      Atomics.load(board, JobBoard.stopped) !== 0 || Atomics.load(board, JobBoard.failedChunk) < chunk;
    const part = (await explorer).search(from, to, stopped);
    if (part.failed) noteFailed(board, chunk);
    return { part };
  } catch (error) {
    noteFailed(board, chunk);
    return { error: toWire(error) };
  }
}

/** Throws UsageError when there is none. */
export async function programFrom(source: ProgramSource): Promise<Program> {
  if ("id" in source) {
    const { broken, fixed } = findCase(source.id);
    return programOf(source.fixed ? fixed : broken);
  }
  const { default: program } = (await import(source.module)) as { default?: Program };
  if (typeof program === "object" && Array.isArray(program.threads)) return program;
  throw new UsageError(`explore: ${source.module}: expected a program as default export, with words and threads`);
}

function noteFailed(board: Int32Array, chunk: number): void {
  for (let lowest = Atomics.load(board, JobBoard.failedChunk); chunk < lowest; ) {
    const seen = Atomics.compareExchange(board, JobBoard.failedChunk, lowest, chunk);
    if (seen === lowest) return;
    lowest = seen;
  }
}
