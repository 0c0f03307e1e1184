/** LTP's oom01, oom02, oom04 and oom05 on real threads, checked build: two threads of a child fill its domain. */

import { afterAll, beforeAll, expect, it } from "vitest";
import type { Cpu } from "../../src/arena/cpu.ts";
import type { MachineShape } from "../../src/machine/shape.ts";
import { type Kernel, loadKernel, workerUrl } from "../../src/run/kernel-variant.ts";
import { Crew } from "../../src/run/parallel.ts";

const KILLS = 30;
const START = 0x1000;
const NODE_PAGES = 2000;
const SHAPE: MachineShape = {
  cpus: 4,
  frames: 2 * NODE_PAGES + 1,
  zones: [
    { node: 0, start: 1, end: NODE_PAGES + 1 },
    { node: 1, start: NODE_PAGES + 1, end: 2 * NODE_PAGES + 1 },
  ],
  cpuNodes: [0, 1, 0, 1],
  cpusets: 1,
  memcgs: 1,
  tables: 64,
  vmas: 8,
  mms: 2,
  tasks: 4,
  protocol: "v6.18",
  lockGranularity: "table",
  levels: 4,
  reschedEvery: 0,
  minFreePages: 32,
  oomKiller: true,
  traceEvents: 0,
  lockOrder: true,
};
/** CPUs and task slots; the bystander sleeps, and the reaper is there to empty its queue afterwards. */
const CHILD = 0;
const THREAD = 1;
const BYSTANDER = 2;
const REAPER = 3;

interface Case {
  readonly name: string;
  readonly max?: number;
  /** One bit per node. */
  readonly mems?: number;
  readonly bind?: number;
  /** Pages of the bystander, on node 0. */
  readonly bystander: number;
}

let kernel: Kernel;
let crew: Crew;

beforeAll(async () => {
  kernel = await loadKernel("stress");
  // A kernel second in ten real milliseconds.
  crew = new Crew({ worker: workerUrl("stress"), cpus: SHAPE.cpus, usPerNs: 0.1 });
});

afterAll(() => crew.close());

it.each<Case>([
  { name: "oom01: all memory", bystander: 100 },
  { name: "oom02: MPOL_BIND to node 1", bind: 0b10, bystander: NODE_PAGES - 200 },
  { name: "oom04: a cpuset of node 1", mems: 0b10, bystander: NODE_PAGES - 200 },
  { name: "oom05: cpuset and memory group", mems: 0b10, max: 500, bystander: NODE_PAGES - 200 },
])(`$name: the child dies, and nobody else (${KILLS} kills)`, async ({ max, mems, bind, bystander }) => {
  const { words, map } = kernel.bootMachine(SHAPE);
  const cpu = (id: number): Cpu => kernel.cpuOf(words, map, id, kernel.soloPort());
  const { runToEnd } = kernel;
  const memcg = max === undefined ? 0 : runToEnd(kernel.createMemcg(cpu(CHILD), { max }));

  /** A process in a task slot, on the CPU of that number, that has touched `present` of its pages. */
  function spawn(slot: number, pages: number, present: number, group: number): { task: number; mm: number } {
    const mm = runToEnd(kernel.mmAlloc(cpu(slot), slot + 1, kernel.findProtocol(SHAPE.protocol).rwsemRules));
    const task = kernel.createTask(cpu(slot), slot, { pid: 1000 + slot, mm, memcg: group });
    kernel.switchTo(cpu(slot), task);
    const flags = kernel.VM_READ | kernel.VM_WRITE;
    const mapping = { startVpn: START, pages, flags, present: [0, present] };
    runToEnd(kernel.buildAddressSpace(cpu(slot), mm, [mapping], "sequential", 1));
    return { task, mm };
  }
  const other = spawn(BYSTANDER, bystander, bystander, 0);
  const child = spawn(CHILD, 2 * NODE_PAGES, 10, memcg);
  const thread = kernel.createTask(cpu(THREAD), THREAD, { pid: 1001, mm: child.mm, threadOf: child.task });
  words[child.mm + kernel.Mm.mmUsers]!++;
  runToEnd(kernel.tlbActivate(cpu(THREAD), child.mm));
  kernel.switchTo(cpu(THREAD), thread);
  if (mems !== undefined) {
    const cpuset = runToEnd(kernel.createCpuset(cpu(CHILD), mems));
    runToEnd(kernel.attachToCpuset(cpu(CHILD), child.task, cpuset));
  }
  for (const id of bind === undefined ? [] : [CHILD, THREAD]) {
    runToEnd(kernel.setMempolicy(cpu(id), kernel.MPOL_BIND, bind as number));
  }
  const staged = words.slice();
  const { base, struct } = map.cpuSync;
  const sync = { words, base, stride: struct.WORDS, cpus: SHAPE.cpus, classNames: kernel.lockClassNames() };
  await crew.attach({ arena: words.buffer as SharedArrayBuffer, machine: SHAPE, sync });

  const oomMm = (task: number): number =>
    words[(words[task + kernel.Task.signal] as number) + kernel.Signal.oomMm] as number;
  for (let kill = 1; kill <= KILLS; kill++) {
    words.set(staged);
    const params = { startVpn: START, pages: 2 * NODE_PAGES };
    await crew.trial([CHILD, THREAD].map((id) => ({ cpu: id, role: "touchingThread", params })));
    runToEnd(kernel.stopOomReaper(cpu(REAPER)));
    const { protocol, order } = { protocol: SHAPE.protocol, order: "reverse" };
    await crew.trial([{ cpu: REAPER, role: "oomReaperKthread", params: { protocol, order } }]);
    expect([oomMm(child.task), oomMm(other.task)], `kill ${kill}`).toEqual([child.mm, 0]);
    expect(words[map.root + kernel.OomGlobals.oomKills], `kill ${kill}`).toBe(1);
    expect(words[other.mm + kernel.Mm.rss + kernel.MM_ANONPAGES], `kill ${kill}`).toBe(bystander);
    runToEnd(kernel.doExit(cpu(BYSTANDER), other.task));
    runToEnd(kernel.putOomMm(cpu(CHILD), child.task));
    if (memcg !== 0) expect(words[memcg + kernel.Memcg.usage], `kill ${kill}`).toBe(0);
    expect(kernel.findViolations(words, map), `kill ${kill}`).toEqual([]);
  }
});
