/**
 * Seeded kernel programs: random operations on processes, pages and locks. What they draw depends on the seed and on
 * results that no build may change, so every build is asked the same things; addresses are never drawn from.
 */

import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { Random } from "../../src/base/random.ts";
import { type Kernel, PROCESS_SLOTS, SCRATCH_WORDS, type Stage } from "./stage.ts";

interface Mapped {
  readonly vma: number;
  readonly start: number;
  readonly pages: number;
}

interface Process {
  readonly slot: number;
  readonly mm: number;
  readonly mapped: Mapped[];
  marked: boolean;
}

interface Operation {
  readonly name: string;
  /** How often it is drawn, against the others. */
  readonly weight: number;
  /** Does it and returns what it came to. */
  readonly run: () => number;
}

/** What the operations came to, by name: how often each was done, and the sum of its results. */
export type Tally = Map<string, { done: number; sum: number }>;

/** One line per operation: its name and its result, or what it threw. */
export type Transcript = string[];

const OPERATIONS = 30;
/** Pages held beside those that processes map. */
const MOST_HELD = 40;

/** Where mappings go: the bottom, the middle and the top of user space, in pages. */
const REGIONS = [0, 0x5_5000_0000, 2 ** 35 - 5000];

class Program {
  readonly #stage: Stage;
  readonly #random: Random;
  readonly #misuse: boolean;
  readonly #processes: Process[] = [];
  readonly #held: number[] = [];
  readonly #cls: number;
  #number = 1;

  constructor(stage: Stage, seed: number, misuse: boolean) {
    this.#stage = stage;
    this.#random = new Random(seed);
    this.#misuse = misuse;
    this.#cls = stage.kernel.lockClass("differential", "rwsem");
  }

  readonly #operations: readonly Operation[] = [
    { name: "spawn", weight: 3, run: () => this.#spawn() },
    { name: "mmap", weight: 6, run: () => this.#mmap() },
    { name: "fault", weight: 10, run: () => this.#fault() },
    { name: "folio", weight: 3, run: () => this.#folio() },
    { name: "touch", weight: 5, run: () => this.#touch() },
    { name: "zap", weight: 5, run: () => this.#zap() },
    { name: "reap", weight: 2, run: () => this.#reap() },
    { name: "kill", weight: 1, run: () => this.#kill() },
    { name: "mrelease", weight: 3, run: () => this.#mrelease() },
    { name: "kthread", weight: 1, run: () => this.#kthread() },
    { name: "exit", weight: 1, run: () => this.#exit() },
    { name: "alloc", weight: 5, run: () => this.#alloc() },
    { name: "free", weight: 4, run: () => this.#free() },
    { name: "lock", weight: 4, run: () => this.#lock() },
    { name: "wait", weight: 2, run: () => this.#wait() },
    { name: "misuse", weight: 1, run: () => this.#misuseSomething() },
  ];

  run(transcript: Transcript, tally: Tally): void {
    const urn = this.#operations.flatMap((operation) => Array<Operation>(operation.weight).fill(operation));
    for (let i = 0; i < OPERATIONS; i++) {
      const { name, run } = this.#pick(urn);
      if (!this.#note(name, run, transcript, tally)) return;
    }
    // Half of the programs leave what they have for the comparison.
    if (this.#random.below(2) === 0) this.#note("cleanUp", () => this.#cleanUp(), transcript, tally);
  }

  /** Runs one operation and writes it down; false when it threw. */
  #note(name: string, run: () => number, transcript: Transcript, tally: Tally): boolean {
    try {
      const result = run();
      transcript.push(`${name} ${result}`);
      const entry = tally.get(name) ?? { done: 0, sum: 0 };
      tally.set(name, { done: entry.done + 1, sum: entry.sum + Math.abs(result) });
      return true;
    } catch (error) {
      transcript.push(`${name}: ${(error as Error).name}: ${(error as Error).message}`);
      const entry = tally.get("threw") ?? { done: 0, sum: 0 };
      tally.set("threw", { done: entry.done + 1, sum: 0 });
      return false;
    }
  }

  #run<T>(steps: Steps<T>): T {
    return this.#stage.kernel.runToEnd(steps);
  }

  get #kernel(): Kernel {
    return this.#stage.kernel;
  }

  #pick<T>(values: readonly T[]): T {
    return values[this.#random.below(values.length)] as T;
  }

  /** CPU 0 mostly; always only one of the two is at work. */
  #cpu(): Cpu {
    return this.#stage.cpus[this.#random.below(8) === 0 ? 1 : 0];
  }

  #process(): Process | undefined {
    return this.#processes.length === 0 ? undefined : this.#pick(this.#processes);
  }

  #spawn(): number {
    const { kernel, words, cpus } = this.#stage;
    const taken = new Set(this.#processes.map(({ slot }) => slot));
    const slot = Array.from({ length: PROCESS_SLOTS }, (_, i) => i).find((i) => !taken.has(i));
    if (slot === undefined) return -1;
    const protocol = kernel.findProtocol(this.#stage.map.shape.protocol);
    const mm = this.#run(kernel.mmAlloc(cpus[0], this.#number, protocol.rwsemRules));
    if (mm === 0) return 0;
    const task = kernel.taskAt(cpus[0], slot);
    words[task + kernel.Task.pid] = 0;
    kernel.createTask(cpus[0], slot, { pid: 1000 + this.#number, mm });
    kernel.switchTo(cpus[0], task);
    this.#run(kernel.tlbActivate(cpus[0], mm));
    this.#processes.push({ slot, mm, mapped: [], marked: false });
    return this.#number++;
  }

  #mmap(): number {
    const kernel = this.#kernel;
    const process = this.#process();
    if (!process) return -1;
    const start = this.#pick(REGIONS) + this.#random.below(this.#pick([64, 4000]));
    const pages = 1 + this.#random.below(this.#pick([4, 40, 900]));
    const { VM_WRITE, VM_SHARED, VM_LOCKED, VM_HUGETLB, VM_ACCOUNT } = kernel;
    const flags = VM_WRITE | this.#pick([0, 0, 0, VM_SHARED, VM_LOCKED, VM_HUGETLB]) | this.#pick([0, VM_ACCOUNT]);
    const cpu = this.#cpu();
    this.#run(kernel.mmapWriteLock(cpu, process.mm));
    const vma = this.#run(kernel.mmapRegion(cpu, process.mm, start, pages, flags));
    this.#run(kernel.mmapWriteUnlock(cpu, process.mm));
    if (vma !== 0) process.mapped.push({ vma, start, pages });
    return vma === 0 ? 0 : pages;
  }

  /** Faults a run of pages in; returns how many faults did not run out of memory. */
  #fault(): number {
    const kernel = this.#kernel;
    const process = this.#process();
    if (!process || process.mapped.length === 0) return -1;
    const { vma, start, pages } = this.#pick(process.mapped);
    const from = this.#random.below(pages);
    const count = Math.min(pages - from, 1 + this.#random.below(this.#pick([3, 40])));
    const cpu = this.#cpu();
    this.#run(kernel.mmapReadLock(cpu, process.mm));
    let done = 0;
    while (done < count) {
      const result = this.#run(kernel.doAnonymousPage(cpu, process.mm, vma, start + from + done));
      if (result === kernel.VM_FAULT_OOM) break;
      done++;
    }
    this.#run(kernel.mmapReadUnlock(cpu, process.mm));
    return done;
  }

  #folio(): number {
    const kernel = this.#kernel;
    const process = this.#process();
    if (!process || process.mapped.length === 0) return -1;
    const { vma, start, pages } = this.#pick(process.mapped);
    const order = 1 + this.#random.below(4);
    const at = Math.ceil(start / 2 ** order) * 2 ** order + 2 ** order * this.#random.below(3);
    if (at + 2 ** order > start + pages) return -2;
    const cpu = this.#cpu();
    const pfn = this.#run(kernel.allocPages(cpu, order, kernel.GFP_KERNEL));
    if (pfn === 0) return 0;
    return 1 + this.#run(kernel.mapAnonymousFolio(cpu, process.mm, vma, at, pfn, order));
  }

  #touch(): number {
    const process = this.#process();
    if (!process || process.mapped.length === 0) return -1;
    const { start, pages } = this.#pick(process.mapped);
    let hits = 0;
    for (let i = 0; i < 4; i++) {
      const vpn = start + this.#random.below(Math.min(pages, 30));
      if (this.#run(this.#kernel.userStore(this.#stage.cpus[0], process.mm, vpn, this.#random.below(1000)))) hits++;
    }
    return hits;
  }

  /** What MADV_DONTNEED does to a range. */
  #zap(): number {
    const kernel = this.#kernel;
    const process = this.#process();
    if (!process || process.mapped.length === 0) return -1;
    const { start, pages } = this.#pick(process.mapped);
    const from = this.#random.below(pages);
    const count = 1 + this.#random.below(pages - from);
    const cpu = this.#cpu();
    const mode = this.#pick([kernel.ZAP_WAIT, kernel.ZAP_TRY]);
    this.#run(kernel.mmapReadLock(cpu, process.mm));
    this.#run(kernel.tlbGatherMmu(cpu, process.mm));
    const done = this.#run(kernel.unmapPageRange(cpu, process.mm, start + from, start + from + count, mode));
    this.#run(kernel.tlbFinishMmu(cpu));
    this.#run(kernel.mmapReadUnlock(cpu, process.mm));
    return done ? count : 0;
  }

  #reap(): number {
    const kernel = this.#kernel;
    const process = this.#process();
    if (!process) return -1;
    const cpu = this.#cpu();
    if (!this.#run(kernel.mmapReadTrylock(cpu, process.mm))) return 0;
    const skip = this.#pick([0, kernel.VM_LOCKED, kernel.VM_HUGETLB | kernel.VM_PFNMAP]);
    this.#run(kernel.reapVmas(cpu, process.mm, this.#pick(kernel.TRAVERSAL_ORDERS), skip));
    this.#run(kernel.mmapReadUnlock(cpu, process.mm));
    return 1;
  }

  #kill(): number {
    const process = this.#process();
    if (!process) return -1;
    this.#run(this.#kernel.killTask(this.#cpu(), this.#kernel.taskAt(this.#stage.cpus[0], process.slot)));
    return process.slot;
  }

  #mrelease(): number {
    const kernel = this.#kernel;
    const cpu = this.#stage.cpus[1];
    const pidfd = this.#random.below(PROCESS_SLOTS + 2) - 1;
    const flags = this.#random.below(6) === 0 ? 1 : 0;
    if (this.#random.below(3) > 0 && pidfd >= 0 && this.#processes.some(({ slot }) => slot === pidfd)) {
      this.#run(kernel.killTask(cpu, kernel.taskAt(cpu, pidfd)));
    }
    const protocol = kernel.findProtocol(this.#stage.map.shape.protocol);
    return this.#run(kernel.processMrelease(cpu, pidfd, flags, protocol, this.#pick(kernel.TRAVERSAL_ORDERS)));
  }

  #kthread(): number {
    const kernel = this.#kernel;
    const process = this.#process();
    if (!process) return -1;
    const task = kernel.taskAt(this.#stage.cpus[0], process.slot);
    const order = this.#pick(kernel.TRAVERSAL_ORDERS);
    this.#run(kernel.markOomVictim(this.#stage.cpus[0], task));
    process.marked = true;
    const protocol = kernel.findProtocol(this.#stage.map.shape.protocol);
    return this.#run(kernel.oomReapTask(this.#stage.cpus[1], task, protocol, order));
  }

  #exit(): number {
    const process = this.#process();
    return process ? this.#exitOf(process) : -1;
  }

  #exitOf(process: Process): number {
    const { kernel, cpus, words } = this.#stage;
    const task = kernel.taskAt(cpus[0], process.slot);
    kernel.switchTo(cpus[0], task);
    this.#run(kernel.doExit(cpus[0], task));
    if (process.marked) this.#run(kernel.putOomMm(cpus[0], task));
    words.fill(0, task, task + kernel.Task.WORDS);
    this.#processes.splice(this.#processes.indexOf(process), 1);
    return process.slot;
  }

  #alloc(): number {
    const kernel = this.#kernel;
    if (this.#held.length >= MOST_HELD) return -1;
    const { GFP_KERNEL, GFP_NOWAIT, GFP_ATOMIC, GFP_OOM_VICTIM, __GFP_MEMALLOC } = kernel;
    const gfp = this.#pick([
      GFP_KERNEL,
      GFP_KERNEL,
      GFP_NOWAIT,
      GFP_ATOMIC,
      GFP_KERNEL | GFP_OOM_VICTIM,
      __GFP_MEMALLOC,
    ]);
    const pfn = this.#run(kernel.allocPages(this.#cpu(), this.#pick([0, 0, 0, 1, 2, 3, 5]), gfp));
    if (pfn !== 0) this.#held.push(pfn);
    return pfn;
  }

  #free(): number {
    if (this.#held.length === 0) return -1;
    const kernel = this.#kernel;
    const pfn = this.#held.splice(this.#random.below(this.#held.length), 1)[0] as number;
    const cpu = this.#cpu();
    if (this.#random.below(3) === 0) {
      this.#run(kernel.getPage(cpu, pfn));
      this.#run(kernel.pageMark(cpu, pfn, kernel.PAGE_DIRTY));
      this.#run(kernel.putPage(cpu, pfn));
    }
    this.#run(kernel.putPage(cpu, pfn));
    return pfn;
  }

  /** One CPU uses a lock in every way it offers, the other one tries it meanwhile; returns which tries succeeded. */
  #lock(): number {
    const { kernel, words, cpus, scratch } = this.#stage;
    const lock = this.#pick(kernel.LOCKS);
    const [one, two] = this.#random.below(2) === 0 ? cpus : [cpus[1], cpus[0]];
    const cls = this.#cls;
    words.fill(0, scratch, scratch + lock.struct.WORDS);
    lock.initLock(words, scratch);
    let seen = 0;
    const note = (ok: boolean): void => {
      seen = seen * 2 + (ok ? 1 : 0);
    };
    if (lock.killable && this.#random.below(2) === 0)
      note(this.#run(lock.killable.lockWriteKillable(one, scratch, cls)));
    else this.#run(lock.lockWrite(one, scratch, cls));
    note(this.#run(lock.trylockWrite(two, scratch, cls)));
    if (lock.read) note(this.#run(lock.read.trylockRead(two, scratch, cls)));
    if (lock.downgrade && lock.read) {
      this.#run(lock.downgrade.downgradeToRead(one, scratch, cls));
      note(this.#run(lock.read.trylockRead(two, scratch, cls)));
      this.#run(lock.read.unlockRead(two, scratch, cls));
      this.#run(lock.read.unlockRead(one, scratch, cls));
    } else {
      this.#run(lock.unlockWrite(one, scratch, cls));
    }
    if (lock.read) {
      this.#run(lock.read.lockRead(one, scratch, cls));
      if (lock.read.recursive) this.#run(lock.read.lockRead(one, scratch, cls));
      note(this.#run(lock.trylockWrite(two, scratch, cls)));
      if (lock.read.recursive) this.#run(lock.read.unlockRead(one, scratch, cls));
      this.#run(lock.read.unlockRead(one, scratch, cls));
    }
    note(this.#run(lock.trylockWrite(two, scratch, cls)));
    this.#run(lock.unlockWrite(two, scratch, cls));
    return seen;
  }

  /** Sleeps that end by their timeout, and waits that need no sleep. */
  #wait(): number {
    const { kernel, words, cpus, scratch } = this.#stage;
    const [cpu] = cpus;
    words.fill(0, scratch, scratch + kernel.Completion.WORDS + kernel.WaitQueue.WORDS);
    const timeout = 1 + this.#random.below(5000);
    const queue = scratch + kernel.Completion.WORDS;
    const events = this.#random.below(3);
    for (let i = 0; i < events; i++) this.#run(kernel.complete(cpus[1], scratch));
    let seen = 0;
    for (let i = 0; i < 2; i++) {
      const woken = this.#run(kernel.waitForCompletionTimeout(cpu, scratch, this.#cls, timeout));
      seen = seen * 2 + (woken ? 1 : 0);
    }
    this.#run(kernel.prepareToWait(cpu, queue));
    if (this.#random.below(2) === 0) this.#run(kernel.wakeUp(cpus[1], queue));
    seen = seen * 4 + this.#run(kernel.sleepOnQueue(cpu, queue, this.#cls, timeout, this.#random.below(2) === 0));
    if (this.#run(kernel.finishWait(cpu, queue))) seen++;
    this.#run(kernel.sleepUs(cpu, timeout));
    return seen;
  }

  /** Something that the kernel must refuse; both what it says and what it leaves are compared. */
  #misuseSomething(): number {
    if (!this.#misuse) return -1;
    const { kernel, words, cpus, scratch } = this.#stage;
    const process = this.#process();
    switch (this.#random.below(6)) {
      case 0:
        words[scratch] = 0;
        this.#run(kernel.spinUnlock(cpus[0], scratch, this.#cls));
        break;
      case 1:
        words[scratch] = 0;
        this.#run(kernel.spinLock(cpus[0], scratch, this.#cls));
        this.#run(kernel.spinLock(cpus[0], scratch, this.#cls));
        break;
      case 2:
        this.#run(kernel.putPage(cpus[0], 1 + this.#random.below(60)));
        break;
      case 3:
        if (process) this.#run(kernel.mmdrop(cpus[0], process.mm));
        break;
      case 4:
        if (process) this.#run(kernel.addMmCounter(cpus[0], process.mm, kernel.MM_ANONPAGES, 1));
        break;
      default:
        if (process) this.#run(kernel.mmput(cpus[0], process.mm));
    }
    return 1;
  }

  #cleanUp(): number {
    const { kernel, cpus, words, map, scratch } = this.#stage;
    for (const process of [...this.#processes]) this.#exitOf(process);
    for (const pfn of this.#held.splice(0)) this.#run(kernel.putPage(cpus[0], pfn));
    words.fill(0, scratch, scratch + SCRATCH_WORDS);
    const faults = kernel.findViolations(words, map);
    if (faults.length > 0) throw faults[0];
    return 0;
  }
}

/** Boots the stage anew and runs the program of `seed` on it; every `misuse` may end in a refusal. */
export function runProgram(stage: Stage, seed: number, misuse: boolean, tally: Tally): Transcript {
  stage.reset();
  const transcript: Transcript = [];
  new Program(stage, seed, misuse).run(transcript, tally);
  return transcript;
}
