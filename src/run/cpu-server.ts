/**
 * The worker's side of a CPU: answers the requests of `messages.ts` for one kernel build. While a role runs, this
 * thread answers nothing; stopping goes through memory.
 */

import { parentPort } from "node:worker_threads";
import { expose } from "comlink";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";
import type { Cpu, Steps } from "../arena/cpu.ts";
import { runToEnd } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { UsageError } from "../base/errors.ts";
import { CPU_DONE, CPU_RUNNING, CpuSync } from "../sync/cpu-sync.ts";
import { commonNs } from "./common-clock.ts";
import { type CpuTimer, cpuTimeResolutionNs, threadCpuTimer } from "./cpu-time.ts";
import type { CpuReply, CpuRequest, KernelModule, PlainRecord, PortSpec, Role } from "./messages.ts";
import { parallelPort, turnPort } from "./ports.ts";
import { StartBarrier } from "./start-barrier.ts";
import { TurnsOver, TurnTable } from "./turn-table.ts";
import { toWire } from "./wire-error.ts";

type Request<T extends CpuRequest["type"]> = Extract<CpuRequest, { type: T }>;
type AnyRole = (cpu: Cpu, params: PlainRecord) => Steps<PlainRecord | undefined>;

/** How an engine brackets a role: runs `body` when it is this CPU's time, and cleans up. */
type Bracket = (body: () => PlainRecord | undefined, parties: number) => CpuReply;

/** How long the CPUs wait until all of them run, and once more after that, in nanoseconds. */
const MEET_PATIENCE_NS = 50_000_000;
const START_PATIENCE_NS = 1_000_000;

export class CpuServer {
  readonly #kernel: KernelModule;
  readonly #timer: CpuTimer = threadCpuTimer();
  readonly #timerResolutionNs = cpuTimeResolutionNs(this.#timer);
  readonly #loaded = new Set<string>();
  #roles: Record<string, Role>;
  #cpu: Cpu | undefined;
  #bracket: Bracket | undefined;

  constructor(kernel: KernelModule) {
    this.#kernel = kernel;
    this.#roles = { ...kernel.roles };
  }

  /** Answers one request. Errors are replies, because comlink would drop the invariant of a Violation. */
  async handle(request: CpuRequest): Promise<CpuReply> {
    try {
      return request.type === "attach" ? await this.#attach(request) : this.#run(request);
    } catch (error) {
      return { type: "failed", error: toWire(error) };
    }
  }

  async #attach(request: Request<"attach">): Promise<CpuReply> {
    for (const url of request.modules) await this.#load(url);
    const port = this.#plugIn(request.port, request.id);
    this.#cpu = this.#kernel.attachCpu(request.arena, request.machine, request.id, port);
    return {
      type: "attached",
      cpuTimeSource: this.#timer.source,
      cpuTimeResolutionNs: this.#timerResolutionNs,
    };
  }

  /** Each module once, however often this worker is attached. */
  async #load(url: string): Promise<void> {
    if (this.#loaded.has(url)) return;
    const exports = (await import(url)) as Record<string, unknown>;
    this.#addRoles(url, (exports.roles ?? {}) as Record<string, Role>);
    this.#kernel.adopt?.(exports);
    this.#loaded.add(url);
  }

  #addRoles(url: string, roles: Record<string, Role>): void {
    for (const name of Object.keys(roles)) {
      if (name in this.#roles) throw new UsageError(`${url}: there is already a role ${name}`);
    }
    this.#roles = { ...this.#roles, ...roles };
  }

  /** Sets the bracket of the engine and makes its port. */
  #plugIn(spec: PortSpec, id: number): ReturnType<typeof parallelPort> {
    if (spec.engine === "forced") {
      assert(GATED, "CpuServer: the forced engine needs the gated build");
      const table = new TurnTable(spec.control);
      this.#bracket = (body) => this.#byTurns(table, id, body);
      return turnPort(table, id);
    }
    assert(!GATED, "CpuServer: the gated build runs by turns only");
    const barrier = new StartBarrier(spec.control);
    this.#bracket = (body, parties) => this.#atOnce(barrier, spec.originNs, body, parties);
    return parallelPort(spec.originNs, spec.usPerNs);
  }

  #run(request: Request<"run">): CpuReply {
    const cpu = this.#cpu;
    assert(cpu !== undefined && this.#bracket !== undefined, "CpuServer: run before attach");
    const role = this.#roles[request.role] as AnyRole | undefined;
    if (!role) throw new UsageError(`no role ${request.role}; there are ${Object.keys(this.#roles).join(", ")}`);
    const body = (): PlainRecord | undefined => {
      setState(cpu, CPU_RUNNING);
      const result = runToEnd(role(cpu, request.params));
      assert(!isGenerator(result), `CpuServer: role ${request.role} returned a generator; ${WRONG_BUILD}`);
      setState(cpu, CPU_DONE);
      return result;
    };
    return this.#bracket(body, request.parties);
  }

  /** parallel: starts together with the others and takes the time. */
  #atOnce(barrier: StartBarrier, originNs: number, body: () => PlainRecord | undefined, parties: number): CpuReply {
    const timer = this.#timer;
    // Twice: reading the CPU time takes too long to start together after it, and would count the first meeting's spins.
    barrier.meet(parties, commonNs, MEET_PATIENCE_NS);
    const cpuBefore = timer.read();
    barrier.meet(parties, commonNs, START_PATIENCE_NS);
    const result = body();
    const endNs = commonNs() - originNs;
    const cpuAfter = timer.read();
    const cpuNs = cpuBefore === undefined || cpuAfter === undefined ? undefined : cpuAfter - cpuBefore;
    return { type: "ran", result, endNs, cpuNs };
  }

  /** forced: the first turn runs to the first scheduling point; returning passes the last turn on. */
  #byTurns(table: TurnTable, id: number, body: () => PlainRecord | undefined): CpuReply {
    try {
      table.await(id);
      const result = body();
      table.run.end(id);
      table.pass();
      return { type: "ran", result, endNs: table.run.clock[0] as number, cpuNs: undefined };
    } catch (error) {
      if (error instanceof TurnsOver) return { type: "stopped" };
      table.fail(id);
      throw error;
    }
  }
}

const WRONG_BUILD = "its module was built for another engine";

/** A role that was not stripped has run nothing yet. */
function isGenerator(result: unknown): boolean {
  return Object.prototype.toString.call(result) === "[object Generator]";
}

function setState(cpu: Cpu, state: number): void {
  if (cpu.sync !== 0) cpu.words[cpu.sync + CpuSync.state] = state;
}

/** Makes the calling worker a CPU that waits for requests. */
export function serveCpu(kernel: KernelModule): void {
  assert(parentPort !== null, "serveCpu: expected to run in a worker");
  const server = new CpuServer(kernel);
  expose({ handle: (request: CpuRequest) => server.handle(request) }, nodeEndpoint(parentPort));
}
