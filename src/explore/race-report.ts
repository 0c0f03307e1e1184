/** A data race in full: both accesses, the functions they are in, and what ordered their CPUs last. */

import { OP_STORE } from "../arena/mem.ts";
import { InternalFault } from "../base/errors.ts";
import { functionsHere } from "./call-stack.ts";
import { reads } from "./dependence.ts";
import { Executor, watching } from "./executor.ts";
import type { Subject } from "./program.ts";
import { ACCESS_ATOMIC, ACCESS_WRITES, DATA_RACE, describeAccess, describeRace, type Race } from "./race-detector.ts";
import { PENDING_WORDS } from "./run-state.ts";
import type { Schedule } from "./schedule.ts";
import { fixedScheduler } from "./schedulers/fixed.ts";

export interface RaceSite {
  readonly cpu: number;
  /** "writes", "atomically reads", ... */
  readonly access: string;
  /** Step of the schedule, -1 on the way to the first scheduling point. */
  readonly step: number;
  /** Functions on the CPU's stack, innermost first, without the seam. */
  readonly functions: readonly string[];
}

export interface RaceReport {
  readonly word: number;
  /** What the program calls the word. */
  readonly name: string;
  /** The earlier access, and the one that nothing orders after it. */
  readonly sites: readonly [RaceSite, RaceSite];
  /** Step and word through which the second's CPU last learned of the first's; undefined when it never did. */
  readonly lastOrder: { readonly step: number; readonly name: string } | undefined;
  /** All of it in words. */
  readonly message: string;
}

interface Access extends Omit<RaceSite, "access"> {
  readonly writes: boolean;
  readonly atomic: boolean;
}

/** Runs a schedule that ends in a data race once more and looks closely. */
export function explainRace(subject: Subject, schedule: Schedule): RaceReport {
  const first = new Executor(subject, { races: true });
  first.execute(fixedScheduler(schedule));
  const race = first.detector?.races[0];
  if (!race) throw new InternalFault("explainRace: the schedule ends in no data race");
  return new RaceWitness(subject, race).report(schedule);
}

/** Notes every access of the racing word, and when the racing CPUs learned of each other. */
class RaceWitness {
  readonly #subject: Subject;
  readonly #race: Race;
  readonly #executor: Executor;
  readonly #accesses: Access[] = [];
  #step = -1;
  /** The step at hand. */
  #operation = { kind: 0, word: 0 };
  #known = 0;
  #lastOrder: RaceReport["lastOrder"];

  constructor(subject: Subject, race: Race) {
    this.#subject = subject;
    this.#race = race;
    this.#executor = new Executor(subject, {
      races: true,
      heard: [race.word],
      onPlain: (cpu, kind) => this.#note(cpu, kind === OP_STORE, false),
      onOperation: (cpu) => {
        const { kind, word } = this.#operation;
        if (word === race.word) this.#note(cpu, !reads(kind), true);
      },
    });
  }

  report(schedule: Schedule): RaceReport {
    const { word, cpu, kind, otherCpu, otherKind } = this.#race;
    this.#executor.execute(
      watching(fixedScheduler(schedule), (view, choice) => {
        this.#learn();
        this.#step = view.step;
        const at = (choice < 0 ? ~choice : choice) * PENDING_WORDS;
        const { pending } = view.run;
        this.#operation = { kind: pending[at] as number, word: pending[at + 1] as number };
      }),
    );
    this.#learn();
    const before = this.#site(otherCpu, otherKind);
    const now = this.#site(cpu, kind);
    const name = this.#subject.describe(word);
    const report = { word, name, sites: [before, now] as const, lastOrder: this.#lastOrder };
    return { ...report, message: this.#inWords(before, now) };
  }

  #note(cpu: number, writes: boolean, atomic: boolean): void {
    this.#accesses.push({ cpu, step: this.#step, functions: functionsHere(), writes, atomic });
  }

  /** Whether the last step told the second CPU more about the first. */
  #learn(): void {
    const { cpu, otherCpu } = this.#race;
    const known = this.#executor.detector?.known(cpu, otherCpu) ?? 0;
    if (known === this.#known) return;
    this.#known = known;
    this.#lastOrder = { step: this.#step, name: this.#subject.describe(this.#operation.word) };
  }

  /** A failed compareExchange is no write, so kinds of atomic accesses need not match. */
  #site(cpu: number, kind: number): RaceSite {
    const atomic = (kind & ACCESS_ATOMIC) !== 0;
    const writes = (kind & ACCESS_WRITES) !== 0;
    const access = this.#accesses.findLast((it) => {
      return it.cpu === cpu && it.atomic === atomic && (atomic || it.writes === writes);
    });
    if (!access) throw new InternalFault("explainRace: an access of the race was not seen again");
    return { cpu, step: access.step, functions: access.functions, access: describeAccess(kind, "reads", "writes") };
  }

  #inWords(before: RaceSite, now: RaceSite): string {
    const order = this.#lastOrder;
    return [
      `${DATA_RACE}: ${describeRace(this.#race, this.#subject.describe)}`,
      describeSite(before),
      describeSite(now),
      order
        ? `CPU ${now.cpu} last heard of CPU ${before.cpu} at step ${order.step}, through ${order.name}, and not of this`
        : `CPU ${now.cpu} never heard of CPU ${before.cpu}`,
    ].join("\n");
  }
}

function describeSite({ cpu, access, step, functions }: RaceSite): string {
  const when = step < 0 ? "before its first step" : `at step ${step}`;
  const where = functions
    .slice(0, 3)
    .toReversed()
    .map((name) => `${name}()`)
    .join(" ");
  return `CPU ${cpu} ${access} it ${when}${where === "" ? "" : `, in ${where}`}`;
}
