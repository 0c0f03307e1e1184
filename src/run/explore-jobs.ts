/**
 * Exploring with several threads. The executions are dealt out in chunks, lowest first, and what counts is the lowest that
 * fails, however late it is found: so the outcome is that of one thread, whatever the number of jobs.
 */

import { Piscina } from "piscina";
import { UsageError } from "../base/errors.ts";
import {
  DEFAULT_EXECUTIONS,
  DEFAULT_SCHEDULER,
  type Exploration,
  type ExploreOptions,
  Explorer,
  type SearchPart,
} from "../explore/explore.ts";
import { distUrl } from "../strip/dist.ts";
import { type ChunkReply, type ChunkRequest, JobBoard } from "./explore-job.ts";
import { type ProgramSource, programFrom } from "./program-source.ts";
import { fromWire } from "./wire-error.ts";

export const MAX_JOBS = 256;

export interface JobsOptions extends ExploreOptions {
  /** Threads, 1 to MAX_JOBS. */
  readonly jobs: number;
  /** Asked now and then; true ends the exploration with what there is. */
  readonly stopped?: () => boolean;
  /** Hears now and then how many executions were run. */
  readonly progress?: (executions: number) => void;
}

/** A thread ended without an answer: out of memory, or ended by its own program. */
export class JobDied extends Error {
  override readonly name = "JobDied";
}

/** Executions. Few enough that no thread waits long for the last, and many enough that handing them out costs nothing. */
const CHUNK = 64;
/** Between two looks at `stopped`. */
const LOOK_MS = 100;

/**
 * As `explore`, with `jobs` threads: the same outcome but for the time it takes. `module` is the URL of a module whose
 * default export is the program. Rejects with UsageError on what cannot be shared out, with JobDied when a thread dies.
 */
export async function exploreInParallel(module: string | URL, options: JobsOptions): Promise<Exploration> {
  const source = { module: String(module) };
  const explorer = new Explorer(await programFrom(source), options);
  await searchInJobs(explorer, source, options);
  return explorer.result(options.stopped);
}

/** Lets the jobs search, and `explorer`, which was made from the same program and options, adopt what they find. */
export async function searchInJobs(explorer: Explorer, source: ProgramSource, options: JobsOptions): Promise<void> {
  checkJobs(options);
  const search = new JobSearch(source, options);
  const began = performance.now();
  const parts = await search.run();
  explorer.adopt(parts, performance.now() - began);
}

function checkJobs({ jobs, scheduler = DEFAULT_SCHEDULER }: JobsOptions): void {
  if (!Number.isInteger(jobs) || jobs < 1 || jobs > MAX_JOBS) {
    throw new UsageError(`explore: jobs: got ${jobs}, expected a whole number from 1 to ${MAX_JOBS}`);
  }
  if (scheduler === "dfs" || scheduler === "dpor") {
    throw new UsageError(
      `explore: jobs: ${scheduler} goes on from where it was; expected a scheduler such as random, pct or pos`,
    );
  }
}

class JobSearch {
  readonly #request: Pick<ChunkRequest, "source" | "options" | "board">;
  readonly #options: JobsOptions;
  readonly #pool: Piscina<ChunkRequest, ChunkReply>;
  readonly #replies: ChunkReply[] = [];
  #dealt = 0;
  #executions = 0;

  constructor(source: ProgramSource, options: JobsOptions) {
    const { jobs, stopped, progress, ...plain } = options;
    const board = new Int32Array(new SharedArrayBuffer(JobBoard.WORDS * Int32Array.BYTES_PER_ELEMENT));
    board[JobBoard.failedChunk] = 0x7fffffff;
    this.#options = options;
    this.#request = { source, options: plain, board };
    const filename = distUrl("worker-explore.js").href;
    this.#pool = new Piscina({ filename, minThreads: jobs, maxThreads: jobs });
  }

  /** The parts that one thread would have seen, in order. Throws the error that it would have met. */
  async run(): Promise<SearchPart[]> {
    const { seconds = Number.POSITIVE_INFINITY, jobs } = this.#options;
    const until = performance.now() + seconds * 1000;
    const watch = setInterval(() => this.#look(until), Math.min(LOOK_MS, seconds * 1000));
    try {
      await Promise.all(Array.from({ length: jobs }, () => this.#deal()));
    } catch (error) {
      throw new JobDied(`explore: a job died: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      clearInterval(watch);
      await this.#pool.destroy();
    }
    return this.#upToFailure();
  }

  #look(until: number): void {
    const { stopped, progress } = this.#options;
    progress?.(this.#executions);
    if (performance.now() < until && !stopped?.()) return;
    Atomics.store(this.#request.board, JobBoard.stopped, 1);
  }

  /** Keeps one thread busy. Numbers only rise, so whoever takes one knows that all lower ones are taken. */
  async #deal(): Promise<void> {
    const { executions = DEFAULT_EXECUTIONS } = this.#options;
    const { board } = this.#request;
    for (;;) {
      const chunk = this.#dealt;
      const from = chunk * CHUNK;
      const over = Atomics.load(board, JobBoard.stopped) !== 0 || Atomics.load(board, JobBoard.failedChunk) < chunk;
      if (from >= executions || over) return;
      this.#dealt++;
      const to = Math.min(from + CHUNK, executions);
      const reply = await this.#pool.run({ ...this.#request, chunk, from, to });
      this.#replies[chunk] = reply;
      if ("part" in reply) this.#executions += reply.part.executions;
    }
  }

  #upToFailure(): SearchPart[] {
    const parts: SearchPart[] = [];
    for (const reply of this.#replies) {
      if ("error" in reply) throw fromWire(reply.error, "explore job");
      parts.push(reply.part);
      if (reply.part.failed) break;
    }
    return parts;
  }
}
