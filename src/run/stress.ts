/**
 * Kill after kill on real threads, with every check on. A seed draws the sequence of machines: races of one victim and
 * one reaper, and crowds. What the threads then make of a machine is theirs, and differs from run to run.
 */

import { Random } from "../base/random.ts";
import { BenchContext } from "./bench/context.ts";
import { type DrawnCrowd, describeCrowd, drawCrowd, MAX_CROWD_CPUS } from "./crowd-draw.ts";
import { CrowdHost, type CrowdOutcome } from "./crowd-host.ts";
import type { Crew } from "./parallel.ts";
import { RaceHost } from "./race-host.ts";
import type { TrialSample } from "./samples.ts";
import { type DrawnRace, describeRace, drawRace, type StressVariants } from "./stress-draw.ts";
import { type Finding, type StressResult, StressTally } from "./stress-tally.ts";
import { withinLimit } from "./time-limit.ts";
import { hangReport } from "./watchdog.ts";

export interface StressOptions {
  readonly seed: number;
  readonly seconds?: number;
  readonly kills?: number;
  /** Names of the protocols to draw from; left out: all listed ones that are not broken on purpose. */
  readonly protocols?: readonly string[];
  /** Paths of a user's modules that bring protocols and orders. */
  readonly modules?: readonly string[];
  readonly progress: (text: string) => void;
  readonly stopped: () => boolean;
}

/** Kills of one staged race, and runs of one crowd, before the next is drawn: staging costs more than a kill. */
const KILLS_PER_RACE = 40;
const RUNS_PER_CROWD = 10;
/** Findings that nobody knows of, after which to stop. */
const MAX_UNKNOWN = 5;
/** Real time that one run may take, however busy the processors are. */
const LIMIT_MS = 60_000;
/** A kernel second passes in a real millisecond, so that reapers with a delay come in time too. */
const TIMER_RATE = 1000;

/** Kills until the time or the number is up, the user stops it, or too much broke. */
export async function runStress(options: StressOptions): Promise<StressResult> {
  const context = await BenchContext.open("stress", {
    progress: options.progress,
    stopped: () => false,
    modules: options.modules ?? [],
  });
  await context.setTimerRate(TIMER_RATE);
  context.reserveCpus(MAX_CROWD_CPUS);
  const run = new StressRun(context, options);
  try {
    await run.go();
  } finally {
    await context.close();
  }
  return run.result;
}

/** The protocols and orders to draw from. Throws UsageError for a protocol that nobody knows. */
function variantsOf({ kernel }: BenchContext, { protocols }: StressOptions): StressVariants {
  const orders = kernel.allOrders().map(({ name }) => name);
  if (protocols) return { protocols: protocols.map(kernel.findProtocol), orders };
  return { protocols: kernel.PROTOCOLS.filter(({ brokenOnPurpose }) => !brokenOnPurpose), orders };
}

class StressRun {
  readonly #context: BenchContext;
  readonly #options: StressOptions;
  readonly #variants: StressVariants;
  readonly #random: Random;
  readonly #tally: StressTally;
  readonly #since = performance.now();
  #machines = 0;
  #hang: string | null = null;

  constructor(context: BenchContext, options: StressOptions) {
    this.#context = context;
    this.#options = options;
    this.#variants = variantsOf(context, options);
    this.#random = new Random(options.seed);
    this.#tally = new StressTally(this.#variants.protocols);
  }

  get #seconds(): number {
    return (performance.now() - this.#since) / 1000;
  }

  get #going(): boolean {
    const { kills, seconds = 0, stopped } = this.#options;
    if (stopped() || this.#tally.broken.length >= MAX_UNKNOWN || this.#hang !== null) return false;
    return kills === undefined ? this.#seconds < seconds : this.#tally.kills < kills;
  }

  /** Draws machine after machine, in the order that the seed says, whatever becomes of each. */
  async go(): Promise<void> {
    while (this.#going) {
      this.#machines++;
      if (this.#random.below(2) === 0) await this.#races(drawRace(this.#random, this.#variants));
      else await this.#crowds(drawCrowd(this.#random, this.#variants));
    }
  }

  #show(what: string): void {
    const { kills, knownFindings, broken } = this.#tally;
    this.#options.progress(
      `${kills} kills, ${knownFindings} known bugs met, ${broken.length} broken otherwise: ${what}`,
    );
  }

  async #races(drawn: DrawnRace): Promise<void> {
    const what = describeRace(drawn);
    const host = new RaceHost(this.#context.kernel, drawn);
    for (let i = 0; i < KILLS_PER_RACE && this.#going; i++) {
      this.#show(what);
      this.#tally.count(drawn.protocol, 1);
      this.#tally.races++;
      await this.#watched(drawn.protocol, what, async () => {
        this.#noteRace(await this.#within(host, (crew) => host.trial(crew, drawn.order)));
        return [];
      });
    }
  }

  #noteRace({ actors }: TrialSample): void {
    if (actors.every((actor) => actor.pages > 0)) this.#tally.shared++;
    const waited = (lock: { class: string; contended: number }): boolean =>
      lock.class === "pte_lock" && lock.contended > 0;
    if (actors.some((actor) => actor.locks.some(waited))) this.#tally.contended++;
  }

  async #crowds(drawn: DrawnCrowd): Promise<void> {
    const what = describeCrowd(drawn);
    const host = new CrowdHost(this.#context.kernel, drawn.setup, drawn.machine);
    for (let i = 0; i < RUNS_PER_CROWD && this.#going; i++) {
      this.#show(what);
      await this.#watched(drawn.setup.protocol, what, async () => {
        const outcome = await this.#within(host, (crew) => host.run(crew));
        await this.#noteCrowd(drawn.setup.protocol, outcome);
        return outcome.violations;
      });
    }
  }

  async #noteCrowd(protocol: string, outcome: CrowdOutcome): Promise<void> {
    this.#tally.count(protocol, outcome.oomKills + outcome.otherKills, outcome.panicked);
    this.#tally.crowds++;
    this.#tally.accesses += outcome.accesses;
    if (outcome.crewLost) await this.#context.close();
  }

  /** A run that the watchdog takes for a working one for too long ends with what its CPUs are at. */
  #within<T>(host: RaceHost | CrowdHost, run: (crew: Crew) => Promise<T>): Promise<T> {
    return withinLimit(this.#context.crewFor(host).then(run), LIMIT_MS, () => {
      const { map, words } = host;
      const { base, struct, count } = map.cpuSync;
      const classNames = this.#context.kernel.lockClassNames();
      const place = { words, base, stride: struct.WORDS, cpus: count, classNames };
      const running = new Map(Array.from({ length: count }, (_, id) => [id, "stress"]));
      return hangReport({ place, limitMs: LIMIT_MS, running });
    });
  }

  /** Notes what `run` returns or rejects with, unless oomrace itself failed. */
  async #watched(protocol: string, what: string, run: () => Promise<readonly Finding[]>): Promise<void> {
    const where = `machine ${this.#machines} of seed ${this.#options.seed} (${what})`;
    try {
      this.#tally.note(protocol, await run(), where);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      await this.#context.close();
      if (error.name === "Violation") this.#tally.note(protocol, [error as Error & Finding], where);
      else if (error.name === "HangError") this.#hang = `${where}: ${error.message}`;
      else throw new Error(`${where}: ${error.message}`, { cause: error });
    }
  }

  get result(): StressResult {
    const { kills, races, shared, contended, crowds, accesses, protocols, broken } = this.#tally;
    return {
      kills,
      seconds: this.#seconds,
      races,
      shared,
      contended,
      crowds,
      accesses,
      protocols,
      invariants: this.#context.kernel.INVARIANTS.map(({ name }) => name),
      interrupted: this.#options.stopped(),
      broken,
      hang: this.#hang,
    };
  }
}
