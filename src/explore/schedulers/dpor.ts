/**
 * Optimal dynamic partial order reduction (Abdulla, Aronsson, Jonsson and Sagonas: Optimal Dynamic Partial Order
 * Reduction, POPL 2014; Source Sets, JACM 2017): executions that differ only in the order of steps that do not depend on
 * each other are one class, and each class is executed once.
 *
 * Stateless: an execution follows the steps that it shares with the one before from the start. By depth are kept what is
 * asleep (all that begins so has been tried) and what is still to be tried, as a wakeup tree. After each execution every
 * race in it asks for the other order, in the tree of the depth at which the order was decided.
 *
 * A timer that a step keeps from firing (its CPU is woken; an earlier timer is armed) is no step of the execution, but
 * firing it first is another order, too.
 */

import { OP_SPIN } from "../../arena/mem.ts";
import { assert } from "../../base/assert.ts";
import { highestBit } from "../../base/bits.ts";
import { UsageError } from "../../base/errors.ts";
import {
  dependentEffects,
  type Effect,
  effectOf,
  effectWithout,
  MAX_DPOR_CPUS,
  type StepFacts,
  timerEffect,
  valueWithout,
} from "../dpor/effect.ts";
import { Sequence } from "../dpor/sequence.ts";
import { Trace } from "../dpor/trace.ts";
import { insertSequence, type WakeupNode } from "../dpor/wakeup-tree.ts";
import { PENDING_WORDS, type RunState } from "../run-state.ts";
import { timerChoice } from "../schedule.ts";
import { type Scheduler, type SchedulerOptions, type StepView, spinsInVain } from "../scheduler.ts";

const NOBODY = 0;

/** What is known of the state before a step. */
interface Depth {
  readonly asleep: Effect[];
  readonly tree: WakeupNode[];
  /** Branches that were explored to their end from here. */
  tried: number;
}

export function dporScheduler({ cpus, spins, watched }: SchedulerOptions): Scheduler {
  if (cpus > MAX_DPOR_CPUS) throw new UsageError(`dpor: got ${cpus} threads, expected ${MAX_DPOR_CPUS} at most`);
  const search = new Search(cpus, spins, watched);
  return {
    name: "dpor",
    get claim() {
      return search.claim;
    },
    get complete() {
      return search.finished;
    },
    get estimate() {
      return search.estimate;
    },
    begin: () => {},
    pick: (view) => search.pick(view),
    next: () => search.next(),
  };
}

class Search {
  readonly #cpus: number;
  readonly #spins: number;
  readonly #trace: Trace;
  readonly #depths: Depth[] = [];
  /** What the last branch taken goes on with. */
  #planned: WakeupNode[] = [];
  /** First step of the execution at hand that it does not share with the one before. */
  #fresh = 0;
  /** By step: whether `isSettled`, once somebody has asked. */
  readonly #settled: (boolean | undefined)[] = [];
  #classes = 0;
  #cut = false;
  /** Executions that ended with somebody kept from spinning on. */
  #waiting = 0;
  #timersInOrder = true;
  #run: RunState | undefined;
  finished = false;

  constructor(cpus: number, spins: number, watched: readonly number[]) {
    this.#cpus = cpus;
    this.#spins = spins;
    this.#trace = new Trace(cpus, new Set(watched));
  }

  get claim(): string {
    const classes = `${this.#classes} class${this.#classes === 1 ? "" : "es"} of interleavings`;
    const all = this.finished ? `all ${classes} were explored` : `${classes} were explored`;
    if (this.#waiting === 0) return all;
    const times = this.#spins === 1 ? "once" : `${this.#spins} times in a row`;
    return `${all} in which nobody spins in vain more than ${times} (${this.#waiting} broken off for that)`;
  }

  /**
   * Classes in all, if branches that are not explored yet are like those that are, and none are added: as if each state shared
   * its weight among its branches evenly (Knuth: Estimating the Efficiency of Backtrack Programs, 1975). A guess, low at first.
   */
  get estimate(): number {
    if (this.finished) return this.#classes;
    let weight = 1;
    let done = 0;
    for (const { tried, tree } of this.#depths) {
      const share = weight / (tried + 1 + tree.length);
      done += tried * share;
      weight = share;
    }
    return done === 0 ? this.#classes + 1 : Math.max(this.#classes + 1, Math.round(this.#classes / done));
  }

  pick(view: StepView): number | undefined {
    const { length } = this.#trace;
    this.#run = view.run;
    this.#timersInOrder = view.timersInOrder;
    // What was read before the first step is the same in every execution.
    if (view.step === 0) view.run.forgetClockReads();
    const read = view.step > 0 && view.run.takeClockRead(this.#trace.facts(view.step - 1).cpu);
    if (view.step < length) return this.#trace.facts(view.step).choice;
    if (read) this.#trace.noteClockRead();
    const depth = this.#depths[view.step] ?? this.#arrive(view.step);
    const choice = this.#choose(view, depth);
    if (choice === undefined) this.#cut = true;
    else this.#trace.push(view, choice);
    return choice;
  }

  next(): boolean {
    const { length } = this.#trace;
    if (length > 0 && this.#run?.takeClockRead(this.#trace.facts(length - 1).cpu)) this.#trace.noteClockRead();
    if (!this.#cut) this.#classes++;
    this.#cut = false;
    this.#settled.length = 0;
    for (let later = 0; later < this.#trace.length; later++) this.#reverseRaces(later);
    return this.#backtrack();
  }

  /** A state that was not met before. Who slept stays asleep if the step that led here did not touch what it would do. */
  #arrive(step: number): Depth {
    const before = this.#depths[step - 1];
    const last = step > 0 ? this.#trace.facts(step - 1) : undefined;
    const asleep = before && last ? before.asleep.filter((effect) => !dependentEffects(effect, last)) : [];
    const depth = { asleep, tree: this.#planned, tried: 0 };
    this.#planned = [];
    this.#depths.push(depth);
    return depth;
  }

  #choose(view: StepView, { asleep, tree }: Depth): number | undefined {
    const barred = this.#barred(view);
    for (let branch = tree.shift(); branch; branch = tree.shift()) {
      this.#planned = branch.children;
      const { choice } = branch.effect;
      if (canTake(view, choice) && (choice < 0 || ((barred >>> choice) & 1) === 0)) return choice;
      this.#planned = [];
    }
    const choice = firstAwake(view, asleep, barred);
    if (choice === undefined && barred !== NOBODY) this.#waiting++;
    return choice;
  }

  /** Bit per CPU that has spun in vain often enough, and waits for the word to change as long as anybody else can go on. */
  #barred(view: StepView): number {
    let barred = NOBODY;
    let others = view.timerCount;
    for (let i = 0; i < view.enabledCount; i++) {
      const cpu = view.enabled[i] as number;
      if (spinsInVain(view, cpu) && this.#trace.spentOn(pendingWord(view, cpu), cpu) >= this.#spins) barred |= 1 << cpu;
      else others++;
    }
    return others > 0 ? barred : NOBODY;
  }

  /** For each race of this step asks for the other order, unless what is asleep has led to it. */
  #reverseRaces(later: number): void {
    const trace = this.#trace;
    const facts = trace.facts(later);
    for (const earlier of trace.races(later)) {
      if (this.#isSettled(earlier, later) || this.#wouldSpinOn(facts, trace.facts(earlier))) continue;
      this.#ask(earlier, effectWithout(facts, trace.facts(earlier)));
    }
    for (const cpu of bitsOf(facts.putsOff)) {
      if (this.#isSettled(later, later)) break;
      this.#ask(later, timerEffect(cpu, trace.facts(this.#armed(cpu, later)).word));
    }
    const own = timerEffect(facts.cpu, facts.word);
    for (const cpu of bitsOf(facts.putOffBy)) {
      const armed = this.#armed(cpu, later);
      if (!this.#isSettled(armed, later)) this.#ask(armed, own);
    }
  }

  /** Without the earlier step the later one would be a spin in vain too many. */
  #wouldSpinOn(later: StepFacts, earlier: StepFacts): boolean {
    return later.kind === OP_SPIN && later.spent >= this.#spins && valueWithout(later, earlier) === later.operand;
  }

  /**
   * What was asked for in the place of step `from` after the execution before still stands: all steps since then that
   * are new happen after it. `later` is the step that would come first.
   */
  #isSettled(from: number, later: number): boolean {
    if (later >= this.#fresh) return false;
    this.#settled[from] ??= this.#allNewFollow(from);
    return this.#settled[from] === true;
  }

  #allNewFollow(from: number): boolean {
    for (let i = this.#fresh; i < this.#trace.length; i++) if (!this.#trace.happensBefore(from, i)) return false;
    return true;
  }

  /** Asks for `last`, and what does not happen after step `from`, in the place of step `from`. */
  #ask(from: number, last: Effect): void {
    const trace = this.#trace;
    const indices: number[] = [];
    for (let i = from + 1; i < trace.length; i++) if (!trace.happensBefore(from, i)) indices.push(i);
    if (last.choice < 0 && !this.#mayFire(last.cpu, from, indices)) return;
    const effects: Effect[] = indices.map((i) => trace.facts(i));
    effects.push(last);
    const sequence = new Sequence(effects, (i, j) => trace.happensBefore(indices[i] as number, indices[j] as number));
    const { asleep, tree } = this.#depths[from] as Depth;
    if (!asleep.some((effect) => sequence.canBeginWith(effect))) insertSequence(tree, sequence);
  }

  /** Whether the timer of that CPU is armed, and due next if timers fire in order, after the steps before `from` and those of `more`. */
  #mayFire(cpu: number, from: number, more: readonly number[]): boolean {
    const deadlines = new Array<number>(this.#cpus).fill(Number.POSITIVE_INFINITY);
    const follow = (index: number): void => {
      const facts = this.#trace.facts(index);
      deadlines[facts.cpu] = facts.deadline;
      for (const woken of bitsOf(facts.woken)) deadlines[woken] = Number.POSITIVE_INFINITY;
    };
    for (let index = 0; index < from; index++) follow(index);
    for (const index of more) follow(index);
    const own = deadlines[cpu] as number;
    return own < Number.POSITIVE_INFINITY && (!this.#timersInOrder || deadlines.every((other) => own <= other));
  }

  /** The step in which that CPU fell asleep, which before step `step` it was. */
  #armed(cpu: number, step: number): number {
    let at = step - 1;
    while (at >= 0 && this.#trace.facts(at).cpu !== cpu) at--;
    assert(at >= 0, "dpor: a timer without a sleeper");
    return at;
  }

  /** Back to the last state from which something is left to be tried; false when there is none. */
  #backtrack(): boolean {
    const trace = this.#trace;
    this.#planned = [];
    this.#depths.length = trace.length;
    while (trace.length > 0) {
      const depth = this.#depths[trace.length - 1] as Depth;
      const { asleep, tree } = depth;
      depth.tried++;
      asleep.push(effectOf(trace.facts(trace.length - 1)));
      trace.pop();
      if (tree.length > 0) {
        this.#fresh = trace.length;
        return true;
      }
      this.#depths.length = trace.length;
    }
    this.finished = true;
    return false;
  }
}

function bitsOf(mask: number): number[] {
  const bits: number[] = [];
  for (let left = mask; left !== 0; left &= left - 1) bits.push(highestBit(left & -left));
  return bits;
}

function pendingWord({ run }: StepView, cpu: number): number {
  return run.pending[cpu * PENDING_WORDS + 1] as number;
}

function canTake(view: StepView, choice: number): boolean {
  if (choice >= 0) return view.run.isReady(choice);
  for (let i = 0; i < view.timerCount; i++) if (view.timers[i] === timerChoice(choice)) return true;
  return false;
}

/** The CPU at hand if it can go on, else the first other one, then timers; what is asleep is left out. */
function firstAwake(view: StepView, asleep: readonly Effect[], barred: number): number | undefined {
  const awake = (choice: number): boolean =>
    (choice < 0 || ((barred >>> choice) & 1) === 0) && !asleep.some((effect) => effect.choice === choice);
  if (view.last >= 0 && view.run.isReady(view.last) && awake(view.last)) return view.last;
  for (let i = 0; i < view.enabledCount; i++) {
    const cpu = view.enabled[i] as number;
    if (awake(cpu)) return cpu;
  }
  for (let i = 0; i < view.timerCount; i++) {
    const choice = timerChoice(view.timers[i] as number);
    if (awake(choice)) return choice;
  }
  return undefined;
}
