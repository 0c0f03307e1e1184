/**
 * Killing real processes of a layout with and without process_mrelease (bench/native/mrelease): what oomrace emulates,
 * as the kernel below it does it.
 */

import { spawn } from "node:child_process";
import os from "node:os";
import { createInterface } from "node:readline";
import { InternalFault } from "../base/errors.ts";
import { VM_EXEC, VM_READ, VM_SHARED, VM_WRITE } from "../mm/vma.ts";
import type { LayoutVma } from "../scenario/layout.ts";
import { buildMrelease, type NativeBuild, type NativeBuildOptions } from "./native-build.ts";

/** One kill that nobody helped. */
export interface AloneKill {
  /** From the kill until wait has returned. */
  readonly killToWaitNs: number;
  /** The victim's CPU time, from ready to gone. */
  readonly victimCpuNs: number;
}

/** Why process_mrelease did not reap: ESRCH, the victim had let go of its memory already. */
export type MreleaseError = "ESRCH" | "EINTR" | "EAGAIN";

/** One kill with process_mrelease right behind it. */
export interface ReapedKill extends AloneKill {
  /** The call alone. */
  readonly mreleaseNs: number;
  readonly error: MreleaseError | null;
}

export interface MreleasePair {
  readonly alone: AloneKill;
  readonly reaped: ReapedKill;
}

export type MreleaseRun =
  | { readonly available: false; readonly reason: string }
  | {
      readonly available: true;
      /** The kernel's. */
      readonly release: string;
      /** VMAs of a victim, as the kernel counts them. */
      readonly vmas: number;
      /** Distance of the victim from the layout's addresses, which were taken; in pages. */
      readonly movedPages: number;
      readonly pairs: readonly MreleasePair[];
    };

export interface MreleaseOptions {
  readonly vmas: readonly LayoutVma[];
  readonly pairs: number;
  /** No pair begins that would not fit. */
  readonly seconds: number;
  /** Asked now and then; once true, the run ends without a result. */
  readonly stopped: () => boolean;
}

/** First kernel with process_mrelease. */
const SINCE = [5, 15] as const;
/** Exit code of a program that cannot measure on this machine (mrelease.h). */
const EXIT_ABSENT = 2;
const STOP_CHECK_MS = 50;
/** What it may take longer than its time before it counts as hanging. */
const GRACE_SECONDS = 60;

/** Whether a kernel release ("6.18.44-generic") is of that version or later. */
export function isKernelSince(release: string, [major, minor]: readonly [number, number]): boolean {
  const [first = 0, second = 0] = release.split(".").map((part) => Number.parseInt(part, 10));
  return first > major || (first === major && second >= minor);
}

/** Builds the program, or says why it could not run here. */
export async function prepareMrelease(
  options: NativeBuildOptions = {},
  system: { readonly platform: string; readonly release: string } = {
    platform: process.platform,
    release: os.release(),
  },
): Promise<NativeBuild> {
  if (system.platform !== "linux") return { available: false, reason: `not Linux (${system.platform})` };
  if (!isKernelSince(system.release, SINCE)) {
    return { available: false, reason: `Linux ${system.release} has no process_mrelease (since ${SINCE.join(".")})` };
  }
  return buildMrelease(options);
}

/** Runs `program` on a layout. @throws InternalFault when it ends as it should not */
export async function runMrelease(program: string, options: MreleaseOptions): Promise<MreleaseRun> {
  const { code, lines, complaint, stopped } = await runToEnd(program, options);
  if (stopped) return { available: false, reason: "interrupted" };
  if (code === EXIT_ABSENT) return { available: false, reason: complaint.replace(/^mrelease: /, "") };
  if (code !== 0) throw new InternalFault(`runMrelease: ${complaint || `ended with ${code}`}`);
  const [victims, ...kills] = lines.map((line) => JSON.parse(line));
  return { available: true, ...(victims as VictimLine), pairs: pairsOf(kills as KillLine[]) };
}

interface VictimLine {
  readonly release: string;
  readonly vmas: number;
  readonly movedPages: number;
}

interface KillLine extends ReapedKill {
  readonly pair: number;
  readonly mrelease: boolean;
}

function pairsOf(kills: readonly KillLine[]): MreleasePair[] {
  const reapedKills = kills.filter(({ mrelease }) => mrelease);
  return reapedKills.map(({ pair, killToWaitNs, victimCpuNs, mreleaseNs, error }): MreleasePair => {
    const alone = kills.find((one) => one.pair === pair && !one.mrelease);
    if (alone === undefined) throw new InternalFault(`runMrelease: pair ${pair} has one kill`);
    return {
      alone: { killToWaitNs: alone.killToWaitNs, victimCpuNs: alone.victimCpuNs },
      reaped: { killToWaitNs, victimCpuNs, mreleaseNs, error },
    };
  });
}

interface Ended {
  readonly code: number | null;
  readonly lines: readonly string[];
  readonly complaint: string;
  readonly stopped: boolean;
}

/** Resolves when the program and its victims, which share its standard output, are gone. */
function runToEnd(program: string, { vmas, pairs, seconds, stopped }: MreleaseOptions): Promise<Ended> {
  // A group of its own: an interrupt from the terminal is ours to handle.
  const child = spawn(program, [String(pairs), String(seconds)], { stdio: ["pipe", "pipe", "pipe"], detached: true });
  const lines: string[] = [];
  let complaint = "";
  let ended = false;
  createInterface(child.stdout).on("line", (line) => lines.push(line));
  child.stderr.on("data", (text) => {
    complaint += text;
  });
  // A program that ended takes no more input; its exit code says why.
  child.stdin.on("error", () => {});
  child.stdin.end(vmas.map(lineOf).join(""));
  const latest = performance.now() + (seconds + GRACE_SECONDS) * 1000;
  const watch = setInterval(() => {
    ended ||= stopped();
    const hangs = performance.now() > latest;
    if (hangs) complaint ||= `no end after ${seconds + GRACE_SECONDS} s`;
    if (ended || hangs) child.kill("SIGKILL");
  }, STOP_CHECK_MS);
  return new Promise<Ended>((resolve, reject) => {
    child.on("error", (error) => reject(new InternalFault(`runMrelease: ${error.message}`)));
    child.on("close", (code) => resolve({ code, lines, complaint: complaint.trim(), stopped: ended }));
  }).finally(() => clearInterval(watch));
}

/** A VMA as bench/native/mrelease/plan.c reads it. */
function lineOf({ startVpn, pages, flags, present, folioOrder = 0 }: LayoutVma): string {
  const letter = (flag: number, set: string, clear = "-"): string => ((flags & flag) !== 0 ? set : clear);
  const permissions = `${letter(VM_READ, "r")}${letter(VM_WRITE, "w")}${letter(VM_EXEC, "x")}${letter(VM_SHARED, "s", "p")}`;
  const runs = present === "all" ? `0 ${pages}` : Array.from(present).join(" ");
  return `${startVpn} ${pages} ${permissions} ${folioOrder} ${runs}\n`;
}
