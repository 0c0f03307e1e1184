/** Runs the built command line as users do. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { distUrl } from "../../src/strip/dist.ts";

export interface Ended {
  /** Exit code; null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export const CLI = fileURLToPath(distUrl("cli.js"));
export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** A running `oomrace`, its pipes collected. */
export class Oomrace {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  #stdout = "";
  #stderr = "";

  constructor(args: readonly string[]) {
    this.child = spawn(process.execPath, [CLI, ...args], { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    this.ended = once(this.child, "close").then(([code]) => ({
      code: code as number | null,
      stdout: this.#stdout,
      stderr: this.#stderr,
    }));
  }

  /** Waits until standard error holds `text`. Rejects when the program ends without it. */
  async says(text: string): Promise<void> {
    while (!this.#stderr.includes(text)) {
      const ended = await Promise.race([once(this.child.stderr as NodeJS.ReadableStream, "data"), this.ended]);
      if (!Array.isArray(ended) && !this.#stderr.includes(text)) {
        throw new Error(`oomrace ended with ${ended.code} without saying "${text}": ${ended.stdout}${ended.stderr}`);
      }
    }
  }
}

export function oomrace(...args: readonly string[]): Promise<Ended> {
  return new Oomrace(args).ended;
}
