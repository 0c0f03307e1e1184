/** A running C twin: one race per request, from the same arena image each time. */

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { InternalFault } from "../base/errors.ts";

/** The victim's side alone, or beside a reaper (process_mrelease, v6.1) that walks in that order. */
export const TWIN_MODES = ["solo", "forward", "reverse"] as const;
export type TwinMode = (typeof TWIN_MODES)[number];

/** What one side did. Times in nanoseconds; `wallNs` counts from the start barrier. */
export interface TwinActor {
  readonly wallNs: number;
  /** CPU time of its thread; undefined when not available. */
  readonly cpuNs: number | undefined;
  /** PTEs it cleared. */
  readonly pages: number;
  /** The PTE locks, all together. */
  readonly acquired: number;
  readonly contended: number;
  readonly waitNs: number;
  readonly spinNs: number;
}

/** One run; the victim first. */
export interface TwinRun {
  readonly actors: readonly TwinActor[];
}

/** Word addresses by which the twin finds its way in the image. */
export interface TwinPlaces {
  readonly machine: number;
  readonly syncBase: number;
  readonly mmBase: number;
  readonly mm: number;
}

/** A run that takes longer hangs. */
const RUN_LIMIT_MS = 120_000;
/** Words written or read at a time. */
const CHUNK = 2 ** 24;

interface Waiting {
  resolve(line: string): void;
  reject(reason: Error): void;
}

export class NativeTwin {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #folder: string;
  #waiting: Waiting | undefined;
  #complaint = "";
  #ended: Error | undefined;

  private constructor(program: string, words: Int32Array, places: TwinPlaces) {
    this.#folder = mkdtempSync(join(tmpdir(), "oomrace-twin-"));
    const image = join(this.#folder, "image");
    writeWords(image, words);
    const args = [image, ...[places.machine, places.syncBase, places.mmBase, places.mm].map(String)];
    this.#child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stderr.on("data", (text) => {
      this.#complaint += text;
    });
    this.#child.on("error", (error) => this.#end(error.message));
    this.#child.on("close", (code, signal) => this.#end(this.#complaint.trim() || `ended with ${signal ?? code}`));
    // A twin that died takes no more requests; "close" says why.
    this.#child.stdin.on("error", () => {});
    createInterface(this.#child.stdout).on("line", (line) => this.#waiting?.resolve(line));
  }

  /** Starts `program` on a copy of `words`; resolves when it has read them. */
  static async start(program: string, words: Int32Array, places: TwinPlaces): Promise<NativeTwin> {
    const twin = new NativeTwin(program, words, places);
    try {
      await twin.#answer();
      rmSync(join(twin.#folder, "image"));
      return twin;
    } catch (error) {
      await twin.stop();
      throw error;
    }
  }

  /** Restores the arena and runs once. One request at a time. */
  async run(mode: TwinMode): Promise<TwinRun> {
    return JSON.parse(await this.#request(mode)) as TwinRun;
  }

  /**
   * Hands the arena as the last run left it to `visit`, piece by piece: `from` is the address of the piece's first
   * word.
   */
  async readArena(visit: (piece: Int32Array, from: number) => void): Promise<void> {
    const path = join(this.#folder, "arena");
    await this.#request(`dump ${path}`);
    readWords(path, visit);
    rmSync(path);
  }

  /** Ends the process and removes its files. */
  async stop(): Promise<void> {
    if (!this.#ended) {
      const closed = new Promise((resolve) => this.#child.once("close", resolve));
      this.#child.kill();
      await closed;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #request(line: string): Promise<string> {
    const answer = this.#answer();
    this.#child.stdin.write(`${line}\n`);
    return answer;
  }

  /** The next line; an InternalFault when the process ends instead, or hangs. */
  #answer(): Promise<string> {
    if (this.#ended) return Promise.reject(this.#ended);
    const hang = setTimeout(() => {
      this.#complaint ||= `no answer for ${RUN_LIMIT_MS / 1000} s`;
      this.#child.kill("SIGKILL");
    }, RUN_LIMIT_MS);
    const line = new Promise<string>((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
    return line.finally(() => {
      clearTimeout(hang);
      this.#waiting = undefined;
    });
  }

  #end(why: string): void {
    this.#ended ??= new InternalFault(`NativeTwin: ${why}`);
    this.#waiting?.reject(this.#ended);
  }
}

function bytesOf(words: Int32Array): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

function writeWords(path: string, words: Int32Array): void {
  const file = openSync(path, "w");
  try {
    for (let from = 0; from < words.length; from += CHUNK) {
      const bytes = bytesOf(words.subarray(from, from + CHUNK));
      for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
    }
  } finally {
    closeSync(file);
  }
}

function readWords(path: string, visit: (piece: Int32Array, from: number) => void): void {
  const file = openSync(path, "r");
  const piece = new Int32Array(CHUNK);
  const bytes = bytesOf(piece);
  try {
    for (let from = 0; ; from += CHUNK) {
      let got = 0;
      for (let more = -1; more !== 0 && got < bytes.length; got += more) {
        more = readSync(file, bytes, got, bytes.length - got, null);
      }
      if (got === 0) return;
      visit(piece.subarray(0, got / 4), from);
    }
  } finally {
    closeSync(file);
  }
}
