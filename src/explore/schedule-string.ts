/**
 * A schedule as a short string, to be mailed and replayed: base64url of
 *
 *     version (1 byte), code hash (4 bytes, little-endian), steps (varint), then for each step at which the choice was
 *     not option 0 of several (see `options`): the steps with a choice since the last such step (varint), the option (varint)
 *
 * Version 2 has before the steps what was watched: 1 if data races were looked for (varint), how many words' plain accesses
 * were scheduling points (varint), and these words, ascending (a varint each, from the one before).
 *
 * Steps at which only one party could go on take no room, nor do those at which the CPU at hand went on. So a shrunk
 * schedule takes some two bytes for each switch.
 */

import { UsageError } from "../base/errors.ts";
import { type Watch, watching } from "./executor.ts";
import { optionAt, optionCount, optionOf } from "./options.ts";
import type { Schedule } from "./schedule.ts";
import type { Scheduler } from "./scheduler.ts";
import { fixedScheduler } from "./schedulers/fixed.ts";

const VERSION = 1;
const VERSION_WATCHED = 2;

export interface PackedSchedule {
  /** Of the code that it was recorded from. */
  readonly codeHash: number;
  /** What it was recorded under, when that was anything. */
  readonly watch?: Watch;
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

  packed(codeHash: number, watch: Watch = {}): PackedSchedule {
    const watched = watch.races === true || watch.points !== undefined;
    return { codeHash, ...(watched && { watch }), steps: this.#steps, switches: this.#switches };
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

export function writeScheduleString({ codeHash, watch, steps, switches }: PackedSchedule): string {
  const bytes = [watch ? VERSION_WATCHED : VERSION];
  for (let shift = 0; shift < 32; shift += 8) bytes.push((codeHash >>> shift) & 0xff);
  if (watch) for (const value of watchNumbers(watch)) pushVarint(bytes, value);
  for (const value of [steps, ...switches]) pushVarint(bytes, value);
  return Buffer.from(bytes).toString("base64url");
}

/** Throws UsageError when the text is no schedule of this version. */
export function readScheduleString(text: string): PackedSchedule {
  const bytes = Buffer.from(text, "base64url");
  if (!/^[\w-]+$/.test(text) || bytes.length < 6) throw bad("expected base64url, 8 characters or more", text);
  const watched = bytes[0] === VERSION_WATCHED;
  if (bytes[0] !== VERSION && !watched) {
    throw bad(`expected version ${VERSION} or ${VERSION_WATCHED}, got ${bytes[0]}`, text);
  }
  const numbers = varints(bytes.subarray(5), text);
  const watch = watched ? takeWatch(numbers, text) : undefined;
  const [steps, ...switches] = numbers;
  if (steps === undefined || switches.length % 2 !== 0) throw bad("it ends too early", text);
  return { codeHash: bytes.readInt32LE(1), ...(watch && { watch }), steps, switches };
}

function watchNumbers({ races = false, points = [] }: Watch): number[] {
  return [races ? 1 : 0, points.length, ...points.map((word, i) => word - (i > 0 ? (points[i - 1] as number) : 0))];
}

/** Takes what `watchNumbers` made off the front of `numbers`. */
function takeWatch(numbers: number[], text: string): Watch {
  const [races, count] = numbers.splice(0, 2);
  if (count === undefined || count > numbers.length) throw bad("it ends too early", text);
  let word = 0;
  const points = numbers.splice(0, count).map((distance) => {
    word += distance;
    return word;
  });
  return { ...(races === 1 && { races: true }), ...(points.length > 0 && { points }) };
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
