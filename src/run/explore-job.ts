/** One job of an exploration: a thread that executes chunk after chunk of the executions, of a program that it makes itself. */

import { type ExploreOptions, Explorer, type SearchPart } from "../explore/explore.ts";
import type { WireError } from "./messages.ts";
import { type ProgramSource, programFrom } from "./program-source.ts";
import { toWire } from "./wire-error.ts";

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

function noteFailed(board: Int32Array, chunk: number): void {
  for (let lowest = Atomics.load(board, JobBoard.failedChunk); chunk < lowest; ) {
    const seen = Atomics.compareExchange(board, JobBoard.failedChunk, lowest, chunk);
    if (seen === lowest) return;
    lowest = seen;
  }
}
