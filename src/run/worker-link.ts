/** The main thread's side of one worker: requests with replies, and death as an error. */

import { Worker } from "node:worker_threads";
import { type Remote, wrap } from "comlink";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";
import type { CpuReply, CpuRequest } from "./messages.ts";
import { CpuError, fromWire } from "./wire-error.ts";

type CpuApi = { handle(request: CpuRequest): CpuReply };

export class WorkerLink {
  readonly id: number;
  readonly #worker: Worker;
  readonly #remote: Remote<CpuApi>;
  /** What this CPU is doing, for messages. */
  #doing = "starting";
  #death: Error | undefined;
  /** Rejects the request under way. */
  #reject: ((reason: Error) => void) | undefined;

  constructor(entry: URL, id: number) {
    this.id = id;
    this.#worker = new Worker(entry, { name: `cpu-${id}` });
    this.#remote = wrap<CpuApi>(nodeEndpoint(this.#worker));
    this.#worker.on("error", (error) => this.#die(`${(error as Error).name}: ${(error as Error).message}`));
    this.#worker.on("exit", (code) => this.#die(`its worker ended with exit code ${code}`));
  }

  /**
   * Sends a request. Rejects with the error of the role (a Violation stays one), or with a CpuError that names this
   * CPU when the worker dies; never waits for a dead worker.
   */
  async request(request: CpuRequest): Promise<CpuReply> {
    this.#doing = request.type === "run" ? request.role : request.type;
    const reply = await new Promise<CpuReply>((resolve, reject) => {
      if (this.#death) return reject(this.#death);
      this.#reject = reject;
      (this.#remote.handle(request) as Promise<CpuReply>).then(resolve, reject);
    });
    if (reply.type === "failed") throw fromWire(reply.error, this.#who());
    return reply;
  }

  /** Ends the worker, whatever it is doing. */
  async terminate(): Promise<void> {
    this.#death ??= new CpuError(`${this.#who()} was terminated`);
    await this.#worker.terminate();
  }

  #who(): string {
    return `CPU ${this.id} (${this.#doing})`;
  }

  #die(how: string): void {
    this.#death ??= new CpuError(`${this.#who()} died: ${how}`);
    this.#reject?.(this.#death);
  }
}
