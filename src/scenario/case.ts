/**
 * A case: a race that the explorer can be set on, as data. What its CPUs run are roles of the kernel, by name, so that the
 * same case runs step by step and on real threads.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { runToEnd } from "../arena/mem.ts";
import { describeAddress } from "../arena/region.ts";
import { soloPort } from "../arena/solo-port.ts";
import type { Violation } from "../base/errors.ts";
import { findViolations } from "../check/index.ts";
import type { Program } from "../explore/program.ts";
import { bootMachine, cpuOf } from "../machine/boot.ts";
import type { MachineMap } from "../machine/memory-map.ts";
import { roles } from "../machine/roles.ts";
import { type MachineShape, TOY_SHAPE } from "../machine/shape.ts";
import { lockClassNames } from "../sync/lock-class.ts";

/** What one CPU runs: a role of `machine/roles` with its parameters, plain data. */
export interface CaseRole {
  readonly role: string;
  readonly params: Readonly<Record<string, unknown>>;
  /** Heading of its column. */
  readonly title: string;
}

/** One side of a case: the broken protocol, or the one that mended it. */
export interface CaseVariant {
  readonly protocol: string;
  /** What is different, in a few words. */
  readonly label: string;
  readonly shape: Partial<MachineShape>;
  /** On CPU 0, before the others begin: builds what they meet, and says what each of them runs. */
  stage(cpu: Cpu, map: MachineMap): Steps<readonly CaseRole[]>;
  /** After all have returned: ends the victim's life, so that the invariants can be asked for what is left. */
  end?(cpu: Cpu, staged: readonly CaseRole[]): Steps<void>;
  /** After every step: what is wrong, for what no invariant sees when all is over. */
  watch?(words: Int32Array, map: MachineMap): Violation | undefined;
  /** All words that `watch` looks at; absent when they cannot be told. */
  watchedWords?(map: MachineMap): readonly number[];
}

export interface Case {
  /** As the command line spells it: a bug's number, "B1", or a lock's name, "lock:rwsem". */
  readonly id: string;
  /** What goes wrong, in one sentence. */
  readonly title: string;
  /** It is about a lock, which is its variants' label, and diagrams show what goes on inside lock operations, too. */
  readonly insideLocks?: boolean;
  readonly broken: CaseVariant;
  /** Where no bug is known, as of most locks, the same as `broken`. */
  readonly fixed: CaseVariant;
}

/** A case ready to be explored. */
export interface CaseProgram extends Program {
  readonly words: Int32Array;
  readonly map: MachineMap;
  readonly roles: readonly CaseRole[];
}

/** Headings of a diagram's columns. */
export function columnTitles({ roles: staged }: CaseProgram): string[] {
  return staged.map(({ title }, cpu) => `CPU ${cpu}: ${title}`);
}

/** The order in which the case's reaper walks; null when it has none. */
export function orderOf({ roles: staged }: CaseProgram): string | null {
  for (const { params } of staged) if (typeof params.order === "string") return params.order;
  return null;
}

/** Boots the machine and stages the case. */
export function programOf(variant: CaseVariant): CaseProgram {
  const { map, words } = bootMachine({ ...TOY_SHAPE, ...variant.shape, protocol: variant.protocol });
  const boot = cpuOf(words, map, 0, soloPort());
  const staged = runToEnd(variant.stage(boot, map));
  const { base, struct } = map.cpuSync;
  const { end, watch, watchedWords } = variant;
  return {
    words,
    map,
    roles: staged,
    threads: staged.map(({ role, params }) => {
      const run = roles[role as keyof typeof roles] as (cpu: Cpu, params: object) => Steps<unknown>;
      return (cpu) => run(cpu, params);
    }),
    cpuOf: (id, port) => cpuOf(words, map, id, port),
    sync: { words, base, stride: struct.WORDS, cpus: staged.length, classNames: lockClassNames() },
    code: [CODE_HASH, variant.protocol, JSON.stringify(staged)].join(" "),
    describe: (word) => describeAddress(map.memory, word),
    // What lies before are each CPU's own counts, which differ with every order of steps.
    state: [map.tasks.base, words.length],
    ...(watch && {
      invariants: () => {
        const broken = watch(words, map);
        if (broken) throw broken;
      },
      ...(watchedWords && { invariantWords: watchedWords(map) }),
    }),
    check: () => {
      if (end) runToEnd(end(boot, staged));
      const [broken] = findViolations(words, map);
      if (broken) throw broken;
    },
  };
}
