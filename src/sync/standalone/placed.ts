/** What all locks of a user's buffer share: a place, a name, and the thread that uses them. */

import type { Cpu } from "../../arena/cpu.ts";
import { NO_TIMEOUT } from "../../arena/mem.ts";
import type { StructType } from "../../arena/struct.ts";
import { UsageError } from "../../base/errors.ts";
import { checkPlace, LockSpace } from "./lock-space.ts";

/** A thing of shared words at a byte offset of the space's buffer. Zeroed words are a free one. */
export abstract class Placed {
  readonly byteOffset: number;
  /** Statistics are kept by name; things of one name are counted together. */
  readonly name: string;
  protected readonly cpu: Cpu;
  /** Word address and lock class. */
  protected readonly at: number;
  protected readonly cls: number;

  protected constructor(what: string, struct: StructType, space: LockSpace, byteOffset: number, name: string) {
    const bytes = struct.WORDS * 4;
    checkPlace(what, space.buffer, byteOffset, struct.ALIGN * 4, bytes);
    // Word 0 means "waits for nothing" in the threads' records.
    if (byteOffset === 0) throw new UsageError(`${what}: byte offset: got 0, expected a place behind byte 0`);
    const spaceEnd = space.byteOffset + LockSpace.byteLength(space.threads);
    if (byteOffset < spaceEnd && byteOffset + bytes > space.byteOffset) {
      throw new UsageError(
        `${what}: byte offset ${byteOffset} lies in the lock space (${space.byteOffset} to ${spaceEnd})`,
      );
    }
    this.byteOffset = byteOffset;
    this.name = name;
    this.cpu = space.cpu;
    this.at = byteOffset / 4;
    this.cls = space.classOf(name);
  }
}

/** Milliseconds of a caller as the microseconds of the locks. */
export function timeoutUs(what: string, milliseconds: number): number {
  if (milliseconds === Number.POSITIVE_INFINITY) return NO_TIMEOUT;
  if (milliseconds >= 0) return milliseconds * 1000;
  throw new UsageError(`${what}: timeout: got ${milliseconds}, expected milliseconds or Infinity`);
}
