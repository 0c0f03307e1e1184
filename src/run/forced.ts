/**
 * The forced engine: the gated build on real worker threads, real parking included, that takes its turns in the
 * order of a schedule. The same outcome as from `interleaved` proves that a schedule is no artefact of stepping.
 */

import { UsageError } from "../base/errors.ts";
import { deadlockReport } from "../explore/deadlock-report.ts";
import { endByError, type Outcome } from "../explore/outcome.ts";
import type { Schedule } from "../explore/schedule.ts";
import type { SyncPlace } from "../explore/wait-for.ts";
import type { CpuReply, PlainRecord } from "./messages.ts";
import {
  TURNS_DEADLOCK,
  TURNS_FAILED,
  TURNS_FINISHED,
  TURNS_IMPOSSIBLE,
  TURNS_LIVELOCK,
  TURNS_RUN,
  TURNS_STOPPED,
  TurnTable,
} from "./turn-table.ts";
import { HangError, watchCounter } from "./watchdog.ts";
import { WorkerLink } from "./worker-link.ts";

export interface ForcedCrewOptions {
  /** Built worker entry of the gated variant: "worker-forced.js" of `dist/`. */
  readonly worker: URL;
  readonly cpus: number;
  /** URLs of built modules of a user, loaded by every worker: more roles, protocols, orders. */
  readonly modules?: readonly string[];
}

export interface ForcedRun {
  readonly arena: SharedArrayBuffer;
  /** Plain description from which each worker's kernel finds its way in the arena. */
  readonly machine: unknown;
  /** What CPU 0, 1, ... runs: one per worker. */
  readonly programs: readonly { readonly role: string; readonly params: PlainRecord }[];
  readonly schedule: Schedule;
  /** Go on after the end of the schedule, round robin, up to this many steps in all. Default: stop ("ended"). */
  readonly continueTo?: number;
  /** For the deadlock report. */
  readonly sync?: SyncPlace;
  /** Names words in it. Default: by number. */
  readonly describe?: (word: number) => string;
  /** Stalled time after which a turn counts as hung, in milliseconds. */
  readonly hangMs?: number;
}

const DEFAULT_TURN_HANG_MS = 10_000;

/** Worker threads that follow schedules, one run after another. */
export class ForcedCrew {
  readonly #options: ForcedCrewOptions;
  readonly #links: readonly WorkerLink[];

  constructor(options: ForcedCrewOptions) {
    this.#options = options;
    this.#links = Array.from({ length: options.cpus }, (_, id) => new WorkerLink(options.worker, id));
  }

  /**
   * Follows a schedule to its end. Throws UsageError, naming the step, when a turn names a CPU that cannot run;
   * CpuError when a worker died; HangError when a turn does not end. After the last two the crew is gone.
   */
  async run(run: ForcedRun): Promise<Outcome> {
    const { programs } = run;
    if (programs.length !== this.#links.length) {
      throw new UsageError(`forced: ${programs.length} programs for ${this.#links.length} CPUs`);
    }
    const table = TurnTable.create(programs.length, run.schedule, run.continueTo);
    await this.#attach(run, table);
    const requests = programs.map(({ role, params }, cpu) =>
      (this.#links[cpu] as WorkerLink).request({ type: "run", role, params, parties: programs.length }),
    );
    // A worker that is gone passes no turn on: the others are told to leave.
    for (const request of requests) request.catch(() => table.stop(TURNS_STOPPED));
    table.pass();
    const replies = await this.#settle(table, requests, run.hangMs ?? DEFAULT_TURN_HANG_MS);
    return endingOf(table, replies, run);
  }

  /** Ends the workers, whatever they are doing. */
  async close(): Promise<void> {
    await Promise.all(this.#links.map((link) => link.terminate()));
  }

  async #attach(run: ForcedRun, table: TurnTable): Promise<void> {
    const { modules = [] } = this.#options;
    const port = { engine: "forced", control: table.buffer } as const;
    const { arena, machine } = run;
    const requests = this.#links.map((link) =>
      link.request({ type: "attach", id: link.id, arena, machine, port, modules }),
    );
    await Promise.all(requests);
  }

  async #settle(
    table: TurnTable,
    requests: readonly Promise<CpuReply>[],
    hangMs: number,
  ): Promise<PromiseSettledResult<CpuReply>[]> {
    let unwatch = (): void => {};
    const hang = new Promise<never>((_, reject) => {
      const onHang = (): void => reject(new HangError(`step ${table.position} did not end for ${hangMs / 1000} s`));
      unwatch = watchCounter(() => [table.position], hangMs, onHang);
    });
    try {
      return await Promise.race([Promise.allSettled(requests), hang]);
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      unwatch();
    }
  }
}

function endingOf(
  table: TurnTable,
  replies: readonly PromiseSettledResult<CpuReply>[],
  { sync, describe }: ForcedRun,
): Outcome {
  const { status, steps, schedule } = table;
  const end = { steps, schedule, timeNs: table.run.clock[0] as number };
  const failure = replies.find((reply) => reply.status === "rejected")?.reason as unknown;
  switch (status) {
    case TURNS_FINISHED:
      return { state: "finished", results: replies.map(resultOf), ...end };
    case TURNS_DEADLOCK:
      return { state: "deadlock", report: deadlockReport(table.run, sync, describe), ...end };
    case TURNS_LIVELOCK:
      return { state: "livelock", bound: steps, ...end };
    case TURNS_FAILED:
      return { ...endByError(table.culprit, failure), ...end };
    case TURNS_IMPOSSIBLE:
      throw new UsageError(`forced: step ${steps} of the schedule: ${table.obstacle}`);
    case TURNS_STOPPED:
    case TURNS_RUN:
      throw failure;
    default:
      return { state: "ended", ...end };
  }
}

function resultOf(reply: PromiseSettledResult<CpuReply>): PlainRecord | undefined {
  return reply.status === "fulfilled" && reply.value.type === "ran" ? reply.value.result : undefined;
}
