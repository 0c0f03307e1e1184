/** What a stress run came to, protocol by protocol, and its summary in text. */

import type { Protocol } from "../oom/protocols/protocol.ts";
import { bugText, knownBug, visibleBugs } from "./known-bugs.ts";

/** A finding, as `Violation` has it; kernel bundles have classes of their own. */
export interface Finding {
  readonly invariant: string;
  readonly message: string;
}

export interface ProtocolTally {
  readonly protocol: string;
  /** Machines on which processes were killed, counted each time that one ran, and kills. */
  runs: number;
  kills: number;
  /** Machines that ended in a panic, because all who could be killed were dying already. */
  panics: number;
  /** Runs in which a bug that the protocol is known for showed, by B-number; those that can show begin at 0. */
  readonly bugs: Record<string, number>;
}

export interface StressResult {
  readonly kills: number;
  readonly seconds: number;
  /** Kills in which both sides unmapped pages, and in which somebody waited for a PTE lock; of races only. */
  readonly races: number;
  readonly shared: number;
  readonly contended: number;
  /** Runs of crowds, and accesses of their bystanders, all of which found what they should. */
  readonly crowds: number;
  readonly accesses: number;
  readonly protocols: readonly ProtocolTally[];
  /** Names of what was checked after each run. */
  readonly invariants: readonly string[];
  readonly interrupted: boolean;
  /** What broke and no protocol is known for, with the draw that repeats it. */
  readonly broken: readonly string[];
  /** The watchdog's report, which ended the run; null when nothing hung. */
  readonly hang: string | null;
}

export class StressTally {
  kills = 0;
  races = 0;
  shared = 0;
  contended = 0;
  crowds = 0;
  accesses = 0;
  readonly broken: string[] = [];
  readonly #protocols = new Map<string, { readonly protocol: Protocol; readonly tally: ProtocolTally }>();

  constructor(protocols: readonly Protocol[]) {
    for (const protocol of protocols) {
      const bugs = Object.fromEntries(visibleBugs(protocol).map((bug) => [bug, 0]));
      const tally = { protocol: protocol.name, runs: 0, kills: 0, panics: 0, bugs };
      this.#protocols.set(protocol.name, { protocol, tally });
    }
  }

  #of(name: string): { readonly protocol: Protocol; readonly tally: ProtocolTally } {
    return this.#protocols.get(name) as { protocol: Protocol; tally: ProtocolTally };
  }

  /** One more run under `protocol`. */
  count(protocol: string, kills: number, panicked = false): void {
    const { tally } = this.#of(protocol);
    this.kills += kills;
    tally.kills += kills;
    tally.runs++;
    if (panicked) tally.panics++;
  }

  /** What broke in one run, in order. Only the first is a finding: the others may follow from it. */
  note(protocol: string, findings: readonly Finding[], where: string): void {
    const [first] = findings;
    if (first === undefined) return;
    const { protocol: known, tally } = this.#of(protocol);
    const bug = knownBug(known, first.invariant);
    if (bug === undefined) this.broken.push(`${where}: ${first.message}`);
    else tally.bugs[bug] = (tally.bugs[bug] ?? 0) + 1;
  }

  get protocols(): readonly ProtocolTally[] {
    return [...this.#protocols.values()].map(({ tally }) => tally);
  }

  get knownFindings(): number {
    return this.protocols.reduce((sum, { bugs }) => sum + Object.values(bugs).reduce((a, b) => a + b, 0), 0);
  }
}

/** The result as text. */
export function describeStress(result: StressResult): string {
  const rate = Math.round(result.kills / Math.max(result.seconds, 0.001));
  const state = result.interrupted ? ", interrupted" : "";
  return [
    `${result.kills} kills in ${result.seconds.toFixed(1)} s (${rate}/s)${state}`,
    `races of victim and reaper: ${result.races}; both unmapped in ${result.shared}, PTE locks were contended in ${result.contended}`,
    `crowds: ${result.crowds} runs; ${result.accesses} accesses of bystanders, all as they should be`,
    "",
    ...result.protocols.map(describeProtocol),
    "",
    `checked after every run: ${result.invariants.join(" ")}`,
    ...describeBugs(result.protocols),
    `broken otherwise: ${result.broken.length === 0 ? "nothing" : result.broken.length}`,
    ...result.broken,
    ...(result.hang === null ? [] : [result.hang]),
  ].join("\n");
}

function describeProtocol({ protocol, runs, kills, panics }: ProtocolTally): string {
  const panicked = panics === 0 ? "" : `, ${panics} panics with everybody dying (B20)`;
  return `  ${protocol.padEnd(9)} ${String(kills).padStart(7)} kills in ${String(runs).padStart(6)} runs${panicked}`;
}

function describeBugs(protocols: readonly ProtocolTally[]): string[] {
  return protocols.flatMap(({ protocol, bugs }) =>
    Object.entries(bugs).map(([bug, times]) => {
      const shown = times === 0 ? "not met this time" : `met in ${times} runs`;
      return `known of ${protocol}: ${bug} ${shown} (${bugText(bug)})`;
    }),
  );
}
