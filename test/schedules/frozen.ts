/**
 * A race that was found, as data: the machine, what its CPUs run, the order of their turns, and the sentence of the
 * protocol that this order refutes. One JSON file each in this folder.
 */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Engine } from "../../src/explore/engine.ts";
import type { Outcome } from "../../src/explore/outcome.ts";
import { type Program, subjectOf } from "../../src/explore/program.ts";
import type { Scheduler } from "../../src/explore/scheduler.ts";
import type { SyncPlace } from "../../src/explore/wait-for.ts";
import type { PresentRuns } from "../../src/machine/address-space.ts";
import type { MachineMap } from "../../src/machine/memory-map.ts";
import type { Reaper } from "../../src/machine/race.ts";
import type { MachineShape } from "../../src/machine/shape.ts";
import type { Kernel } from "../../src/run/kernel-variant.ts";
import type { KernelModule, PlainRecord } from "../../src/run/messages.ts";
import { buildUserModule } from "../../src/strip/user-module.ts";
import type { Variant } from "../../src/strip/variants.ts";

export interface Frozen {
  readonly title: string;
  /** As in kernel-facts section 6. */
  readonly bug: string;
  readonly protocol: string;
  readonly order: string;
  /** What the set-up prepares: the victim's mark for the kthread, or a pinned mm. */
  readonly reaper: Reaper;
  /** Users of the address space beside the victim. */
  readonly extraUsers: number;
  readonly machine: Partial<MachineShape>;
  readonly mappings: readonly {
    readonly startVpn: number;
    readonly pages: number;
    readonly flags: number;
    readonly present: "all" | PresentRuns;
  }[];
  /** What CPU 0, 1, ... runs. */
  readonly roles: readonly string[];
  /** Modules of this folder that bring roles which the kernel does not have. */
  readonly modules: readonly string[];
  /** Protocols in which the same CPUs do no harm. */
  readonly safe: readonly string[];
  readonly contradicts: { readonly file: string; readonly text: string };
  readonly foundBy: string;
  /** How the violation's message begins, and the CPU that broke. */
  readonly breaks: string;
  readonly cpu: number;
  /** Turns: "1x12 0x3 ~1" lets CPU 1 take 12 steps, then CPU 0 three, then the timer of CPU 1 fires. */
  readonly schedule: string;
}

export const FOLDER = import.meta.dirname;

export function frozenFiles(): string[] {
  return readdirSync(FOLDER).filter((name) => name.endsWith(".json"));
}

export function readFrozen(name: string): Frozen {
  return JSON.parse(readFileSync(join(FOLDER, name), "utf8")) as Frozen;
}

/** A frozen race at its start barrier. */
export interface Stage {
  readonly map: MachineMap;
  readonly words: Int32Array;
  readonly sync: SyncPlace;
  readonly programs: readonly { readonly role: string; readonly params: PlainRecord }[];
}

/** Boots and stages it; `protocol` may be another one, to compare. */
export function stageFrozen(kernel: Kernel, frozen: Frozen, protocol = frozen.protocol): Stage {
  const { order, reaper, mappings } = frozen;
  const cpus = frozen.roles.length;
  const { map, words } = kernel.bootMachine({ ...kernel.TOY_SHAPE, ...frozen.machine, cpus, protocol });
  const boot = kernel.cpuOf(words, map, 0, kernel.soloPort());
  const setup = { protocol, mappings, frames: "sequential", seed: 1, reaper } as const;
  const { mm, task } = kernel.runToEnd(kernel.stageRace(boot, setup));
  for (let i = 0; i < frozen.extraUsers; i++) kernel.runToEnd(kernel.mmgetNotZero(boot, mm));
  kernel.resetFigures(words, map);
  const { base, struct } = map.cpuSync;
  return {
    map,
    words,
    sync: { words, base, stride: struct.WORDS, cpus, classNames: kernel.lockClassNames() },
    programs: frozen.roles.map((role) => ({ role, params: { mm, task, protocol, order } })),
  };
}

/** URLs of a frozen race's modules, built for one variant. */
export function moduleUrls(frozen: Frozen, variant: Variant): Promise<string[]> {
  return Promise.all(frozen.modules.map((name) => buildUserModule(join(FOLDER, name), variant)));
}

/** Runs staged races step by step. */
export class Stepper {
  readonly #kernel: Kernel;
  readonly #roles: KernelModule["roles"];

  private constructor(kernel: Kernel, roles: KernelModule["roles"]) {
    this.#kernel = kernel;
    this.#roles = roles;
  }

  /** With the roles of the interleaved kernel and of the modules of `frozen`. */
  static async open(kernel: Kernel, frozen: Frozen): Promise<Stepper> {
    const urls = await moduleUrls(frozen, "interleaved");
    const modules = (await Promise.all(urls.map((url) => import(url)))) as { roles: KernelModule["roles"] }[];
    return new Stepper(kernel, Object.assign({ ...kernel.roles }, ...modules.map(({ roles }) => roles)));
  }

  /** The race as a program of the explorer's, staged in the arena of `stage`. */
  programOf({ map, words, sync, programs }: Stage): Program {
    return {
      words,
      threads: programs.map(
        ({ role, params }) =>
          (cpu) =>
            this.#roles[role]!(cpu, params as never),
      ),
      cpuOf: (id, port) => this.#kernel.cpuOf(words, map, id, port),
      sync,
    };
  }

  run(stage: Stage, scheduler: Scheduler): Outcome {
    return new Engine(subjectOf(this.programOf(stage)).engine).run(scheduler);
  }
}
