/**
 * A crowd: processes that will be killed for their memory, others that must not notice, and those who want the memory.
 * One CPU each, all of them told by plain data what to do. Everything is built here, and memory is exhausted; from the
 * start barrier on the roles of crowd-victims, crowd-bystanders and crowd-pressure go on.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { runToEnd, store } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { dropCaches } from "../mm/page-cache.ts";
import { drainPages } from "../mm/pcp.ts";
import { VM_HUGETLB, VM_PFNMAP } from "../mm/vma.ts";
import { OomGlobals } from "../oom/globals.ts";
import { MAX_CPUS, PF_KTHREAD, Task, taskAt, taskCount } from "../task/task.ts";
import { releaseTask } from "../task/tasklist.ts";
import type { Mapping } from "./address-space.ts";
import { Board } from "./board.ts";
import {
  type Built,
  BYSTANDER_VPN,
  buildBystander,
  buildStuck,
  buildVictim,
  joinProcess,
  shareFile,
  spawnKthread,
} from "./crowd-build.ts";
import type { CrowdSetup, CrowdVictim } from "./crowd-setup.ts";
import { SCRATCH_PAGES } from "./crowd-victims.ts";
import { putPageChain, takeAllPages } from "./page-chain.ts";

type Params = Readonly<Record<string, number | string | readonly number[]>>;

/** What one CPU runs from the barrier on. */
export interface CrowdProgram {
  readonly cpu: number;
  readonly role: string;
  readonly params: Params;
}

export interface StagedCrowd {
  readonly programs: readonly CrowdProgram[];
  /** First page of those that somebody else holds. */
  readonly hog: number;
}

const BYSTANDER_TAG = 7;
/** Beside `BYSTANDER_VPN`: where scratch mappings go, the bystander's first. */
const SCRATCH_VPN = 0xb0000;
const SCRATCH_STRIDE = SCRATCH_PAGES + 1;
/** Emulated microseconds: a visit, and the pause between two calls of process_mrelease. */
const VISIT_US = 20_000;
const MRELEASE_PAUSE_US = 50_000;
const VISITS = 24;

/** CPUs are given out in turn; task slots have the numbers of their CPUs. */
class Cast {
  readonly programs: CrowdProgram[] = [];
  readonly #cpus: readonly Cpu[];
  readonly #board: number;
  #next = 0;

  constructor(cpus: readonly Cpu[], board: number) {
    this.#cpus = cpus;
    this.#board = board;
  }

  get board(): number {
    return this.#board;
  }

  take(): Cpu {
    const cpu = this.#cpus[this.#next++];
    assert(cpu !== undefined, "stageCrowd: more people than CPUs");
    return cpu;
  }

  /** `cpu` will run `role`; who is waited for at the end is one of `group`, a word of the board. */
  run(cpu: Cpu, role: string, params: Params, group?: number): void {
    this.programs.push({ cpu: cpu.id, role, params: { board: this.#board, ...params } });
    if (group !== undefined) cpu.words[this.#board + group] = (cpu.words[this.#board + group] as number) + 1;
  }
}

/**
 * Builds a crowd on a machine of its `crowdShape`, while no CPU runs. `cpus` are the handles of all of them, which do
 * what they are asked at once.
 */
export function stageCrowd(cpus: readonly Cpu[], board: number, setup: CrowdSetup): StagedCrowd {
  const cast = new Cast(cpus, board);
  const { protocol, order, seed } = setup;
  const director = cast.take();
  spawnKthread(director);
  cast.run(cast.take(), "oomReaperKthread", { protocol, order });
  const bystander = buildBystander(cast.take(), setup, BYSTANDER_TAG);
  const victims = setup.victims.map((victim, i) => buildVictim(cast.take(), victim, setup, bystander, seed + i));
  const everybody = setup.victims.flatMap((_, i) => castVictim(cast, setup, i, victims[i] as Built));
  castBystander(cast, bystander, victims, setup);
  const stuck = Array.from({ length: setup.stuck }, (_, i) => cpus.length + i);
  for (const slot of stuck) buildStuck(director, slot, setup);
  castOthers(cast, director, everybody, stuck, victims, setup);
  for (const cpu of cpus) runToEnd(drainPages(cpu));
  const hog = runToEnd(takeAllPages(director));
  store(director, director.machine + OomGlobals.killerPresent, 1);
  return { programs: cast.programs, hog };
}

/** What of its mappings a victim's threads reach, and what of that may be locked anywhere: pages, flat. */
function rangesOf(mappings: readonly Mapping[], forbidden: number, files: boolean): number[] {
  const allowed = mappings.filter((one) => (one.flags & forbidden) === 0 && (files || one.filePages === undefined));
  return allowed.flatMap(({ startVpn, pages }) => [startVpn, pages]);
}

/** A victim's threads, sharers and visitors. Returns the task slots of its processes. */
function castVictim(cast: Cast, setup: CrowdSetup, index: number, built: Built): number[] {
  const victim = setup.victims[index] as CrowdVictim;
  const seed = setup.seed + index * MAX_CPUS;
  const copied = victim.forked ? [BYSTANDER_VPN, setup.bystander.pages] : [];
  const ranges = [...rangesOf(victim.mappings, VM_PFNMAP, true), ...copied];
  const lockable = rangesOf(victim.mappings, VM_PFNMAP | VM_HUGETLB, false);
  const people = 1 + victim.threads + victim.sharers;
  const slots: number[] = [];
  for (let i = 0; i < people; i++) {
    const cpu = i === 0 ? built.cpu : cast.take();
    if (i > 0) joinProcess(cpu, built, i <= victim.threads, victim.oomScoreAdj);
    if (i === 0 || i > victim.threads) slots.push(cpu.id);
    const scratchVpn = SCRATCH_VPN + SCRATCH_STRIDE * cpu.id;
    const dumpUs = i === victim.threads ? victim.dumpUs : 0;
    const { accesses } = victim;
    cast.run(cpu, "crowdVictim", { seed: seed + i, ranges, lockable, scratchVpn, accesses, dumpUs }, Board.victims);
  }
  for (const role of victim.visitors) {
    const cpu = cast.take();
    spawnKthread(cpu);
    const params = { task: built.task, seed: seed + cpu.id, ranges, visits: VISITS, us: VISIT_US };
    cast.run(cpu, role, params, Board.others);
  }
  return slots;
}

function castBystander(cast: Cast, bystander: Built, victims: readonly Built[], setup: CrowdSetup): void {
  const { pages, accesses, children, childAccesses } = setup.bystander;
  const childCpu = cast.take();
  const own = { tag: BYSTANDER_TAG, vpn: BYSTANDER_VPN, pages, children };
  const params = {
    ...own,
    ...shareFile(bystander, victims, setup),
    seed: setup.seed,
    scratchVpn: SCRATCH_VPN,
    accesses,
    childCpu: childCpu.id,
  };
  cast.run(bystander.cpu, "crowdBystander", params, Board.others);
  cast.run(childCpu, "crowdChildren", { ...own, seed: setup.seed + 1, accesses: childAccesses }, Board.others);
}

/** Those who want the victims' memory; the first of them ends it all. */
function castOthers(
  cast: Cast,
  director: Cpu,
  everybody: readonly number[],
  stuck: readonly number[],
  victims: readonly Built[],
  setup: CrowdSetup,
): void {
  const { allocators, mreleaseCalls, protocol, order } = setup;
  for (const pages of allocators.slice(1)) {
    const cpu = cast.take();
    spawnKthread(cpu);
    cast.run(cpu, "crowdAllocator", { pages }, Board.allocators);
  }
  if (mreleaseCalls > 0) {
    const cpu = cast.take();
    const pidfds = victims.map((victim) => victim.cpu.id);
    const params = { pidfds, protocol, order, calls: mreleaseCalls, us: MRELEASE_PAUSE_US };
    cast.run(cpu, "crowdMrelease", params, Board.others);
  }
  cast.run(director, "crowdDirector", { pages: allocators[0] as number, victims: everybody, stuck });
}

/** After the roles: all processes are released, files forgotten; nothing may be left on the machine. `hog` as staged. */
export function* endCrowd(cpu: Cpu, hog: number): Steps<void> {
  yield* putPageChain(cpu, hog);
  for (let slot = 0; slot < taskCount(cpu); slot++) {
    const task = taskAt(cpu, slot);
    const { words } = cpu;
    const isProcess = words[task + Task.pid] !== 0 && ((words[task + Task.flags] as number) & PF_KTHREAD) === 0;
    if (isProcess) yield* releaseTask(cpu, task);
  }
  yield* dropCaches(cpu);
}
