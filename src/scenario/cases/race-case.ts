/** What the cases of victim and reaper have in common: a killed process, at the barrier. */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import type { Mapping } from "../../machine/address-space.ts";
import { endRace, type Reaper, stageRace } from "../../machine/race.ts";
import type { MachineShape } from "../../machine/shape.ts";
import { Mm } from "../../mm/mm-struct.ts";
import { VM_WRITE } from "../../mm/vma.ts";
import type { CaseRole, CaseVariant } from "../case.ts";

/** Two VMAs with a page table each, as few as both sides need to meet and to miss each other. */
export const CASE_MAPPINGS: readonly Mapping[] = [
  { startVpn: 0x10, pages: 2, flags: VM_WRITE, present: "all" },
  { startVpn: 0x300, pages: 1, flags: VM_WRITE, present: "all" },
];

export interface RaceCase {
  readonly protocol: string;
  readonly label: string;
  /** In which the reaper walks; default "forward". */
  readonly order?: string;
  readonly reaper: Exclude<Reaper, "none">;
  readonly shape?: Partial<MachineShape>;
  /** process_mrelease callers; default 1. */
  readonly callers?: number;
  /** CPUs beside victim and reapers. Each is a user of the mm from the start. */
  readonly others?: (mm: number) => readonly CaseRole[];
  /** On CPU 0, when the victim is staged. */
  readonly prepare?: (cpu: Cpu, mm: number) => Steps<void>;
  readonly watch?: NonNullable<CaseVariant["watch"]>;
  readonly watchedWords?: NonNullable<CaseVariant["watchedWords"]>;
}

/** The victim exits on CPU 0, reapers are on the next, then whoever else is there. */
export function raceCase(race: RaceCase): CaseVariant {
  const { protocol, label, order = "forward", reaper, callers = 1, others, prepare, watch, watchedWords } = race;
  return {
    protocol,
    label,
    // No more than are needed: resetting and checking a machine takes time for each.
    shape: { cpus: 1 + callers + (others?.(0).length ?? 0), ...race.shape },
    *stage(cpu) {
      const setup = {
        protocol,
        mappings: CASE_MAPPINGS,
        frames: "sequential",
        seed: 1,
        reaper,
        reapers: callers,
      } as const;
      const { mm, task } = yield* stageRace(cpu, setup);
      const more = others?.(mm) ?? [];
      cpu.words[mm + Mm.mmUsers] = (cpu.words[mm + Mm.mmUsers] as number) + more.length;
      if (prepare) yield* prepare(cpu, mm);
      const params = { mm, task, protocol, order };
      const reapers = Array.from({ length: callers }, (): CaseRole => {
        return { role: reaper, params, title: reaper === "kthread" ? "oom_reaper" : "process_mrelease" };
      });
      return [{ role: "victim", params: {}, title: "victim" }, ...reapers, ...more];
    },
    end: (cpu) => endRace(cpu, 0),
    ...(watch && { watch }),
    ...(watchedWords && { watchedWords }),
  };
}
