/**
 * What a diagram shows of an execution: the steps through which CPUs take note of each other, lock operations folded into a
 * line each, and nothing that a CPU knows already.
 */

import { LOCK_CALLS } from "../explore/lock-calls.ts";
import type { TracedStep } from "../explore/step-trace.ts";
import { lockName, type Names, namesIn, wholeOf } from "./word-names.ts";

export interface RowOptions {
  /** Every step, in locks as well. Default: once there are more than SHORT, those whose order matters. */
  readonly all?: boolean;
  /** What goes on inside lock operations, too: for those who look for a bug there. */
  readonly insideLocks?: boolean;
}

/** A line of the diagram. */
export interface Row {
  readonly cpu: number;
  /** Functions that the CPU is in, outermost first. */
  readonly path: readonly string[];
  readonly what: string;
  /** It says by itself which function does it. */
  readonly plain?: boolean;
}

export interface Rows {
  readonly rows: readonly Row[];
  /** Steps that no row stands for. */
  readonly left: number;
}

/** Steps up to which an execution is drawn whole. */
const SHORT = 24;

export function rowsOf(steps: readonly TracedStep[], { all = false, insideLocks = false }: RowOptions): Rows {
  const whole = all || steps.length <= SHORT;
  const kept = new Set(all ? steps : news(whole ? steps : communication(steps)));
  const names = namesIn(steps);
  const rows: Row[] = [];
  let drawn = 0;
  for (const group of groupsOf(steps, all || insideLocks)) {
    if (!group.steps.some((step) => kept.has(step))) continue;
    drawn += group.steps.length;
    rows.push(rowOf(group, names));
  }
  return { rows, left: steps.length - drawn };
}

/**
 * Steps through which CPUs take note of each other: on words that several CPUs touched and one of them wrote, and timers and
 * wake-ups; the last step always, as it is the one that failed.
 */
export function communication(steps: readonly TracedStep[]): TracedStep[] {
  const users = new Map<number, { readonly cpus: Set<number>; written: boolean }>();
  for (const { cpu, word, before, after, operation } of steps) {
    if (word < 0) continue;
    const user = users.get(word) ?? { cpus: new Set(), written: false };
    users.set(word, user);
    user.cpus.add(cpu);
    if (before !== after || operation === "wait" || operation === "wake") user.written = true;
  }
  return steps.filter(({ word }, i) => {
    const user = users.get(word);
    return i === steps.length - 1 || user === undefined || (user.cpus.size > 1 && user.written);
  });
}

/** All but loads that tell their CPU what it has seen or written there itself; the last step always. */
function news(steps: readonly TracedStep[]): TracedStep[] {
  const known = new Map<string, number>();
  return steps.filter((step) => {
    const key = `${step.cpu} ${step.word}`;
    const old = step.operation === "load" && known.get(key) === step.before && step !== steps.at(-1);
    known.set(key, step.after);
    return !old;
  });
}

/** Steps that one row stands for: a single one, or what a CPU did in one lock operation. */
interface Group {
  readonly steps: TracedStep[];
  /** The lock that the operation is on, by name; undefined for a step of its own. */
  readonly lock: string | undefined;
  /** Where others touched the lock in the middle of it: this is not the operation's first row, or not its last. */
  readonly goesOn: boolean;
  continued: boolean;
}

/** In the order of their first steps. A lock operation is cut only where another CPU touched that lock meanwhile. */
function groupsOf(steps: readonly TracedStep[], apart: boolean): Group[] {
  const groups: Group[] = [];
  /** By CPU, the lock operation that it is in. */
  const open = new Map<number, Group>();
  for (const step of steps) {
    if (apart || step.lockCall < 0) {
      groups.push({ steps: [step], lock: undefined, goesOn: false, continued: false });
      open.delete(step.cpu);
      continue;
    }
    const before = open.get(step.cpu);
    const same = before !== undefined && isSameCall(before, step);
    if (same && !isCut(steps, before, step)) {
      before.steps.push(step);
      continue;
    }
    if (same) before.continued = true;
    const group: Group = {
      steps: [step],
      lock: same ? before.lock : wholeOf(step.name),
      goesOn: same,
      continued: false,
    };
    groups.push(group);
    open.set(step.cpu, group);
  }
  return groups;
}

/** An operation's first step is on its lock: the same functions on another lock mean that it is the next operation. */
function isSameCall({ steps: [first], lock }: Group, step: TracedStep): boolean {
  const { functions, lockCall } = first as TracedStep;
  if (callIn(functions, lockCall) !== callIn(step.functions, step.lockCall)) return false;
  return wholeOf(step.name) === lock || callIn(functions, 0) !== callIn(step.functions, 0);
}

function callIn(functions: readonly string[], from: number): string {
  return functions.slice(from).join(" ");
}

/** Somebody else touched the lock between the group's last step and this one. */
function isCut(steps: readonly TracedStep[], { steps: own, lock }: Group, step: TracedStep): boolean {
  const between = steps.slice((own.at(-1) as TracedStep).step + 1, step.step);
  return between.some(({ cpu, word, name }) => cpu !== step.cpu && word >= 0 && wholeOf(name) === lock);
}

function rowOf(group: Group, names: Names): Row {
  const [first] = group.steps as [TracedStep];
  const { cpu, functions, lockCall } = first;
  if (group.lock === undefined) return { cpu, path: functions.toReversed(), what: stepText(first, names) };
  return { cpu, path: functions.slice(lockCall + 1).toReversed(), what: lockText(group, names), plain: true };
}

/** "down_write(mmap_lock) sleeps" */
function lockText({ steps, lock = "", goesOn, continued }: Group, names: Names): string {
  const [first] = steps as [TracedStep];
  const { operation, before, after, a } = steps.at(-1) as TracedStep;
  const call = LOCK_CALLS.get(first.functions[first.lockCall] as string) as string;
  const text = `${goesOn ? "... " : ""}${call}(${lockName(lock, names)})`;
  if (operation === "wait" && before === a) return `${text} sleeps${goesOn ? " again" : ""}`;
  if (continued) return `${text} ...`;
  if (call.endsWith("trylock") && operation !== "store" && before === after) return `${text} fails`;
  return goesOn ? `${text} returns` : text;
}

function stepText({ operation, name: long, a, b, before, after }: TracedStep, names: Names): string {
  const name = names.get(long) ?? long;
  switch (operation) {
    case "load":
      return `reads ${name}: ${number(before)}`;
    case "store":
      return `${name} = ${number(after)}`;
    case "cmpxchg":
      return before === a
        ? `${name}: ${number(before)} -> ${number(b)}`
        : `${name} is ${number(before)}, not ${number(a)}`;
    case "spin":
      return before === a
        ? `gives up spinning: ${name} is still ${number(a)}`
        : `sees ${name} change to ${number(before)}`;
    case "wait":
      return before === a
        ? `sleeps while ${name} is ${number(a)}`
        : `does not sleep: ${name} is ${number(before)}, not ${number(a)}`;
    case "wake":
      return `wakes who sleeps on ${name}`;
    case "timer":
      return "(its timer fires)";
    case "wake up":
      return "(goes on)";
    default:
      return `${name}: ${number(before)} -> ${number(after)}`;
  }
}

/** Flags and poison read better in hexadecimal. */
function number(value: number): string {
  return Math.abs(value) < 2 ** 20 ? `${value}` : `0x${(value >>> 0).toString(16)}`;
}
