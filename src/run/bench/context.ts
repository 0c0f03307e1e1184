/** What all parts of a bench share: the kernel, the workers, where progress goes, and whether to stop. */

import { collectGarbage } from "../collect-garbage.ts";
import { type Kernel, loadKernel, workerUrl } from "../kernel-variant.ts";
import { type CpuTimeInfo, Crew } from "../parallel.ts";
import { adoptFile, type UserModule } from "../user-variants.ts";

export interface BenchHooks {
  /** Told what is going on, now and then. */
  readonly progress: (text: string) => void;
  /** True once the user asked to stop: finish the trial under way and come back with what there is. */
  readonly stopped: () => boolean;
  /** Paths of a user's modules, for more protocols and orders. */
  readonly modules: readonly string[];
}

/** A machine that a crew may work on: a RaceHost, say. */
export interface CrewHost {
  readonly map: { readonly shape: { readonly cpus: number } };
  /** Whether its arena is small, so that another one may be at its side. */
  readonly resetsByCopy: boolean;
  attach(crew: Crew): Promise<void>;
}

/** Thrown between trials when the user asked to stop. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

export class BenchContext {
  readonly kernel: Kernel;
  readonly hooks: BenchHooks;
  /** The user's, as this kernel variant has taken them in. */
  readonly modules: readonly UserModule[];
  readonly #variant: "parallel" | "stress";
  /** Emulated kernel microseconds per real nanosecond. */
  #usPerNs = 1 / 1000;
  #crew: Crew | undefined;
  #cpus = 0;
  #reserved = 0;
  #attached: CrewHost | undefined;
  #cpuTime: CpuTimeInfo = { source: "not available", resolutionNs: 0 };

  private constructor(
    kernel: Kernel,
    variant: "parallel" | "stress",
    hooks: BenchHooks,
    modules: readonly UserModule[],
  ) {
    this.kernel = kernel;
    this.modules = modules;
    this.#variant = variant;
    this.hooks = hooks;
  }

  static async open(variant: "parallel" | "stress", hooks: BenchHooks): Promise<BenchContext> {
    const kernel = await loadKernel(variant);
    const modules: UserModule[] = [];
    // One after the other: lock classes of theirs get their numbers in this order, in every thread.
    for (const path of hooks.modules) modules.push(await adoptFile(kernel, variant, path));
    return new BenchContext(kernel, variant, hooks, modules);
  }

  get cpuTime(): CpuTimeInfo {
    return this.#cpuTime;
  }

  /** From the next attach on, a kernel second lasts `1 / rate` real seconds. */
  async setTimerRate(rate: number): Promise<void> {
    this.#usPerNs = rate / 1000;
    await this.close();
  }

  /** New workers are so many at least, so that hosts of different sizes can follow each other with the same ones. */
  reserveCpus(cpus: number): void {
    this.#reserved = cpus;
  }

  /** Throws Interrupted once the user asked to stop. */
  throwIfStopped(): void {
    if (this.hooks.stopped()) throw new Interrupted();
  }

  /** Workers that are warmed up and attached to `host`; the same ones as long as they live. */
  async crewFor(host: CrewHost): Promise<Crew> {
    this.throwIfStopped();
    const cpus = Math.max(host.map.shape.cpus, this.#reserved);
    if (!this.#crew || this.#cpus < cpus) {
      await this.close();
      this.#cpus = cpus;
      this.#crew = new Crew({
        worker: workerUrl(this.#variant),
        cpus,
        usPerNs: this.#usPerNs,
        modules: this.modules.map(({ url }) => url),
      });
    }
    if (this.#attached !== host) {
      await host.attach(this.#crew);
      this.#attached = host;
      this.#cpuTime = this.#crew.cpuTime;
    }
    return this.#crew;
  }

  /** Gives the arena of the race before back if it is a large one: two at once are more than most machines hold. */
  async letGo(): Promise<void> {
    if (this.#attached === undefined || this.#attached.resetsByCopy) return;
    await this.close();
    collectGarbage();
  }

  /** Ends the workers; the next `crewFor` starts new ones. To be called after a trial that rejected. */
  async close(): Promise<void> {
    await this.#crew?.close();
    this.#crew = undefined;
    this.#attached = undefined;
  }
}
