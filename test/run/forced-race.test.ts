/** The emulated kernel itself: what stepping does on the interleaved build, the gated build does on real threads. */

import { afterAll, beforeAll, expect, test } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { interleave } from "../../src/explore/engine.ts";
import { describeOutcome } from "../../src/explore/outcome.ts";
import { randomScheduler } from "../../src/explore/schedulers/random.ts";
import type { SyncPlace } from "../../src/explore/wait-for.ts";
import { ForcedCrew } from "../../src/run/forced.ts";
import { distUrl } from "../../src/strip/dist.ts";

type Kernel = typeof import("../../src/kernel.ts");

const SEEDS = 12;
let kernel: Kernel;
let crew: ForcedCrew;

beforeAll(async () => {
  kernel = (await import(distUrl("kernel-interleaved.js").href)) as Kernel;
  crew = new ForcedCrew({ worker: distUrl("worker-forced.js"), cpus: 2 });
});

afterAll(() => crew.close());

function stage(protocol: string, reaper: "mrelease" | "kthread") {
  const { VM_WRITE } = kernel;
  const mappings = [
    { startVpn: 0x10, pages: 4, flags: VM_WRITE, present: "all" as const },
    { startVpn: 0x300, pages: 3, flags: VM_WRITE, present: "all" as const },
    { startVpn: 0x800, pages: 5, flags: VM_WRITE, present: [1, 3] },
  ];
  const { map, words } = kernel.bootMachine({ ...kernel.TOY_SHAPE, protocol });
  const boot = kernel.cpuOf(words, map, 0, kernel.soloPort());
  const setup = { protocol, mappings, frames: "sequential" as const, seed: 1, reaper };
  const { mm, task } = kernel.runToEnd(kernel.stageRace(boot, setup));
  kernel.resetFigures(words, map);
  const { base, struct } = map.cpuSync;
  const sync: SyncPlace = { words, base, stride: struct.WORDS, cpus: 2, classNames: kernel.lockClassNames() };
  const params = { protocol, order: "forward", ...(reaper === "mrelease" ? { mm } : { task }) };
  const programs = [
    { role: "victim", params: {} },
    { role: reaper, params },
  ];
  return { map, words, sync, programs };
}

test("forced leaves the arena of interleaved, for every protocol and both reapers", async () => {
  for (const { name } of kernel.PROTOCOLS) {
    for (let seed = 0; seed < SEEDS; seed++) {
      const reaper = seed % 2 === 0 ? "mrelease" : "kthread";
      const one = stage(name, reaper);
      const roles = kernel.roles as unknown as Record<string, (cpu: Cpu, params: object) => Steps<unknown>>;
      const outcome = interleave({
        words: one.words,
        programs: one.programs.map(
          ({ role, params }) =>
            (cpu: Cpu) =>
              roles[role]!(cpu, params),
        ),
        cpuOf: (id, port) => kernel.cpuOf(one.words, one.map, id, port),
        scheduler: randomScheduler(seed),
        sync: one.sync,
      });
      const other = stage(name, reaper);
      const replayed = await crew.run({
        arena: other.words.buffer as SharedArrayBuffer,
        machine: other.map.shape,
        programs: other.programs,
        schedule: outcome.schedule,
        sync: other.sync,
      });
      const where = `${name}, ${reaper}, seed ${seed}: ${describeOutcome(outcome)}`;
      expect(describeOutcome(replayed), where).toBe(describeOutcome(outcome));
      const differs = one.words.findIndex((word, at) => word !== other.words[at]);
      expect(differs < 0 ? "same" : kernel.describeAddress(one.map.memory, differs), where).toBe("same");
    }
  }
});
