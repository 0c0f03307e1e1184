/** The processes of a crowd, each built on the CPU that will run its first thread. */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { fetchAdd, load, runToEnd, store } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { CpuMm } from "../mm/cpu-mm.ts";
import { dupMm } from "../mm/dup-mmap.ts";
import { mmAlloc } from "../mm/mm.ts";
import { Mm } from "../mm/mm-struct.ts";
import { mmapRegion } from "../mm/mmap.ts";
import { fileContent } from "../mm/page-cache.ts";
import { tlbActivate } from "../mm/tlb.ts";
import { putUser } from "../mm/user-fault.ts";
import { VM_FAULT_DONE } from "../mm/vm-fault.ts";
import { VM_READ, VM_SHARED, VM_WRITE, Vma } from "../mm/vma.ts";
import { vmaFrom } from "../mm/vma-iter.ts";
import { OOM_SCORE_ADJ_MIN } from "../task/signal.ts";
import { createTask, PF_KTHREAD, switchTo, type TaskSpec } from "../task/task.ts";
import { buildAddressSpace, type Mapping } from "./address-space.ts";
import { signedWord } from "./crowd-bystanders.ts";
import { type CrowdSetup, type CrowdVictim, STUCK_PAGES } from "./crowd-setup.ts";
import { findProtocol } from "./variants.ts";

/** Where a bystander has its private pages, and a victim's file: above all that victims map. */
export const BYSTANDER_VPN = 0x80000;
const FILE_VPN = 0x90000;
const STUCK_VPN = 0x1000;
const FIRST_PID = 1000;

/** A file as a bystander sees it. */
export interface SharedFile {
  readonly fileVpn: number;
  readonly filePages: number;
  /** What its first page holds; the others go on from there. */
  readonly fileContent: number;
}

const NO_FILE: SharedFile = { fileVpn: 0, filePages: 0, fileContent: 0 };

/** A process of a crowd. */
export interface Built {
  readonly cpu: Cpu;
  readonly task: number;
  readonly mm: number;
}

/** A task in the slot with the number of its CPU, which runs it from now on. */
function putOnCpu(cpu: Cpu, spec: Omit<TaskSpec, "pid">): number {
  const task = createTask(cpu, cpu.id, { pid: FIRST_PID + cpu.id, ...spec });
  switchTo(cpu, task);
  return task;
}

export function spawnKthread(cpu: Cpu): void {
  putOnCpu(cpu, { comm: "kthread", flags: PF_KTHREAD });
}

/** Another thread of the process, or another process in its address space, on a CPU of its own. */
export function joinProcess(cpu: Cpu, { task, mm }: Built, asThread: boolean, oomScoreAdj: number): void {
  runToEnd(fetchAdd(cpu, mm + Mm.mmUsers, 1));
  runToEnd(tlbActivate(cpu, mm));
  putOnCpu(cpu, { comm: "victim", mm, oomScoreAdj, ...(asThread && { threadOf: task }) });
}

/** The process that must survive, its pages signed. */
export function buildBystander(cpu: Cpu, setup: CrowdSetup, tag: number): Built {
  const { pages } = setup.bystander;
  const mm = runToEnd(mmAlloc(cpu, cpu.id + 1, findProtocol(setup.protocol).rwsemRules));
  const task = putOnCpu(cpu, { comm: "bystander", mm, oomScoreAdj: OOM_SCORE_ADJ_MIN });
  const mappings: readonly Mapping[] = [{ startVpn: BYSTANDER_VPN, pages, flags: VM_READ | VM_WRITE, present: "all" }];
  runToEnd(buildAddressSpace(cpu, mm, mappings, setup.frames, setup.seed));
  runToEnd(signPages(cpu, mm, tag, pages));
  return { cpu, task, mm };
}

function* signPages(cpu: Cpu, mm: number, tag: number, pages: number): Steps<void> {
  for (let vpn = BYSTANDER_VPN; vpn < BYSTANDER_VPN + pages; vpn++) {
    const result = yield* putUser(cpu, mm, vpn, signedWord(tag, 0, vpn));
    assert(result === VM_FAULT_DONE, `signPages: page ${vpn} cannot be written to`);
  }
}

/** A process that will be killed; where it is `forked`, it is the bystander's child. */
export function buildVictim(cpu: Cpu, victim: CrowdVictim, setup: CrowdSetup, bystander: Built, seed: number): Built {
  const mm = victim.forked
    ? runToEnd(dupMm(cpu, bystander.mm, cpu.id + 1))
    : runToEnd(mmAlloc(cpu, cpu.id + 1, findProtocol(setup.protocol).rwsemRules));
  assert(mm > 0, `buildVictim: no address space (${mm})`);
  const { oomScoreAdj, aioUs, mappings } = victim;
  const task = putOnCpu(cpu, { comm: "victim", mm, oomScoreAdj });
  runToEnd(buildAddressSpace(cpu, mm, mappings, setup.frames, seed));
  store(cpu, mm + Mm.aioUs, aioUs);
  return { cpu, task, mm };
}

/** A process in task slot `slot` that no CPU runs, built by `cpu`. */
export function buildStuck(cpu: Cpu, slot: number, setup: CrowdSetup): void {
  const mm = runToEnd(mmAlloc(cpu, slot + 1, findProtocol(setup.protocol).rwsemRules));
  assert(mm !== 0, "buildStuck: no memory for the mm");
  createTask(cpu, slot, { pid: FIRST_PID + slot, comm: "stuck", mm });
  const mappings: readonly Mapping[] = [
    { startVpn: STUCK_VPN, pages: STUCK_PAGES, flags: VM_READ | VM_WRITE, present: "all" },
  ];
  runToEnd(buildAddressSpace(cpu, mm, mappings, setup.frames, setup.seed));
}

/** Maps the first file of the victims into the bystander, too, if there is one and it shall. */
export function shareFile(bystander: Built, victims: readonly Built[], setup: CrowdSetup): SharedFile {
  if (!setup.bystander.sharesFile) return NO_FILE;
  for (let i = 0; i < victims.length; i++) {
    const isFile = ({ filePages, shmem }: Mapping): boolean => filePages !== undefined && shmem !== true;
    const mapping = setup.victims[i]?.mappings.find(isFile);
    if (mapping) return runToEnd(mapToo(bystander, victims[i] as Built, mapping));
  }
  return NO_FILE;
}

function* mapToo(bystander: Built, { cpu, mm }: Built, mapping: Mapping): Steps<SharedFile> {
  const file = load(cpu, vmaFrom(cpu, mm, cpu.mm + CpuMm.walk, mapping.startVpn) + Vma.file);
  const vma = yield* mmapRegion(bystander.cpu, bystander.mm, FILE_VPN, mapping.pages, VM_READ | VM_SHARED, file);
  assert(vma !== 0, "shareFile: the file does not fit the bystander");
  return { fileVpn: FILE_VPN, filePages: mapping.pages, fileContent: fileContent(cpu, file, 0) };
}
