/**
 * A schedule as a short string, to be mailed and replayed: base64url of
 *
 *     version (1 byte), code hash (4 bytes, little-endian), steps (varint), then for each step at which the choice was
 *     not option 0 of several (see `options`): the steps with a choice since the last such step (varint), the option (varint)
 *
 * Steps at which only one party could go on take no room, nor do those at which the CPU at hand went on. So a shrunk
 * schedule takes some two bytes for each switch.
 */

import { UsageError } from "../base/errors.ts";
import { watching } from "./executor.ts";
import { optionAt, optionCount, optionOf } from "./options.ts";
import type { Schedule } from "./schedule.ts";
import type { Scheduler } from "./scheduler.ts";
import { fixedScheduler } from "./schedulers/fixed.ts";

const VERSION = 1;

export interface PackedSchedule {
  /** Of the code that it was recorded from. */
  readonly codeHash: number;
  readonly steps: number;
  /** Flat: steps with a choice that took option 0, then the option that the next one took; and so on. */
  readonly switches: readonly number[];
}

/** Follows `schedule` and packs what it sees; call `packed` once the execution is over. */
export class SchedulePacker {
  readonly scheduler: Scheduler;
  readonly #switches: number[] = [];
  #since = 0;
  #steps = 0;

  constructor(schedule: Schedule) {
    this.scheduler = watching(fixedScheduler(schedule), (view, choice) => {
      this.#steps++;
      if (optionCount(view) === 1) return;
      const option = optionOf(view, choice);
      if (option !== 0) {
        this.#switches.push(this.#since, option);
        this.#since = 0;
      } else this.#since++;
    });
  }

  packed(codeHash: number): PackedSchedule {
    return { codeHash, steps: this.#steps, switches: this.#switches };
  }
}

/**
 * Follows a packed schedule. At its end the execution ends (outcome "ended"), or goes on undisturbed with `goOn`. Throws
 * UsageError where the program offers less choice than the schedule wants.
 */
export function packedScheduler({ steps, switches }: PackedSchedule, goOn = false): Scheduler {
  let at = 0;
  let since = 0;
  return {
    name: "replay",
    begin: () => {
      at = 0;
      since = 0;
    },
    pick: (view) => {
      if (view.step >= steps && !goOn) return undefined;
      const options = optionCount(view);
      if (options === 1) return optionAt(view, 0);
      if (at === switches.length || since < (switches[at] as number)) {
        since++;
        return optionAt(view, 0);
      }
      const option = switches[at + 1] as number;
      if (option >= options)
        throw new UsageError(`replay: step ${view.step}: expected ${option + 1} choices, got ${options}`);
      at += 2;
      since = 0;
      return optionAt(view, option);
    },
  };
}

export function writeScheduleString({ codeHash, steps, switches }: PackedSchedule): string {
  const bytes = [VERSION];
  for (let shift = 0; shift < 32; shift += 8) bytes.push((codeHash >>> shift) & 0xff);
  for (const value of [steps, ...switches]) pushVarint(bytes, value);
  return Buffer.from(bytes).toString("base64url");
}

/** Throws UsageError when the text is no schedule of this version. */
export function readScheduleString(text: string): PackedSchedule {
  const bytes = Buffer.from(text, "base64url");
  if (!/^[\w-]+$/.test(text) || bytes.length < 6) throw bad("expected base64url, 8 characters or more", text);
  if (bytes[0] !== VERSION) throw bad(`expected version ${VERSION}, got ${bytes[0]}`, text);
  const [steps, ...switches] = varints(bytes.subarray(5), text);
  if (steps === undefined || switches.length % 2 !== 0) throw bad("it ends too early", text);
  return { codeHash: bytes.readInt32LE(1), steps, switches };
}

function pushVarint(bytes: number[], value: number): void {
  let left = value;
  for (; left >= 0x80; left >>>= 7) bytes.push((left & 0x7f) | 0x80);
  bytes.push(left);
}

function varints(bytes: Uint8Array, text: string): number[] {
  const values: number[] = [];
  let value = 0;
  let shift = 0;
  for (const byte of bytes) {
    value |= (byte & 0x7f) << shift;
    shift += 7;
    if ((byte & 0x80) !== 0) continue;
    values.push(value);
    value = 0;
    shift = 0;
  }
  if (shift !== 0) throw bad("it ends too early", text);
  return values;
}

function bad(why: string, text: string): UsageError {
  const shown = text.length > 24 ? `${text.slice(0, 24)}...` : text;
  return new UsageError(`schedule "${shown}": ${why}`);
}
