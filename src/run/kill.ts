/**
 * `oomrace run`: one kill on real threads, from allocation pressure to recovery, with everything that its CPUs traced.
 * Allocators take what is free; when the watermarks refuse them more, their slow path calls the OOM killer, which finds the
 * victim, by its badness, among bystanders; it dies, the reaper helps, and the stalled allocation succeeds.
 */

import { UsageError } from "../base/errors.ts";
import type { FrameOrder } from "../machine/address-space.ts";
import type { ProcessSetup } from "../machine/pressure.ts";
import { VM_HUGETLB, VM_PFNMAP, VM_READ, VM_SHARED, VM_WRITE } from "../mm/vma.ts";
import { countLayout, LAYOUT_START_VPN, type Layout, type LayoutCounts, runsOf } from "../scenario/layout.ts";
import type { LogEra } from "../trace/log-era.ts";
import { type Actors, actorsOf } from "./actors.ts";
import { soloRate, timerScale } from "./bench/calibrate.ts";
import { BenchContext, type BenchHooks } from "./bench/context.ts";
import { hypotheticalNotes } from "./bench/hypothetical.ts";
import type { TimerScale } from "./bench/record.ts";
import { type MachineInfo, machineInfo, oversubscribed } from "./cpu-info.ts";
import { PressureHost, type PressureOptions, type TracedPressure } from "./pressure-host.ts";
import { packageVersion } from "./version.ts";

export interface KillSetup extends Actors {
  readonly frames: FrameOrder;
  readonly protocol: string;
  /** The reaper's walk; null where nobody reaps. */
  readonly order: string | null;
  /** Processes beside the victim, asleep, that the OOM killer has to choose from. */
  readonly bystanders: number;
  readonly seed: number;
}

export interface KillRequest extends KillSetup {
  readonly layout: Layout;
  /** Kernel seconds in a real second; null: as many as let both unmap equally much. */
  readonly hz: number | null;
}

export interface RawKill {
  readonly version: string;
  readonly machine: MachineInfo;
  readonly setup: KillSetup;
  readonly timers: TimerScale;
  readonly layout: { readonly name: string; readonly idea: string } & LayoutCounts;
  readonly oversubscribed: boolean;
  /** What each CPU was, by its number. */
  readonly roles: readonly string[];
  /** How a kernel with this protocol words its log. */
  readonly logEra: LogEra;
  readonly kill: TracedPressure;
  readonly notes: readonly string[];
}

/** Kills before the one that is shown, so that it runs compiled code: as many as fit this time, and at least so many. */
const WARM_UP_MS = 400;
const WARM_UPS = 4;
const CALIBRATION_PAGES = 2 ** 18;

/** A victim of fewer private pages could vanish in per-CPU lists, and its death help nobody. */
const MIN_OWN_PAGES = 64;
/** Of the victim's private pages, what allocators want beyond all that is free, and the size of the largest bystander. */
const WANTED_SHARE = 1 / 2;
const BYSTANDER_SHARE = 1 / 16;
const MAX_BYSTANDER_PAGES = 256;
/** Pages that the victim writes to, round and round, until the signal comes; fewer than a TLB holds. */
const BUSY_PAGES = 8;

/** Ring entries for an address space of so many VMAs: each is begun, ended, flushed and freed, and locks are waited for. */
function traceEventsFor(vmas: number): number {
  return 2 ** Math.min(20, Math.ceil(Math.log2(8 * vmas + 2 ** 14)));
}

/**
 * Runs the kill. Rejects with the Violation that it broke, a HangError, or Interrupted when the user asked to stop; with a
 * UsageError when the victim has too little of its own to help anybody.
 */
export async function runKill(request: KillRequest, hooks: BenchHooks): Promise<RawKill> {
  const { layout, hz, ...setup } = request;
  const options = pressureOf(layout, setup);
  const context = await BenchContext.open("parallel", hooks);
  try {
    const solo = hz === null ? await soloRate(context, CALIBRATION_PAGES, "v6.1", setup.seed) : 0;
    const { scale, rate } = timerScale(hz, solo);
    await context.setTimerRate(rate);
    const host = new PressureHost(context.kernel, options);
    const since = performance.now();
    for (let i = 0; i < WARM_UPS || performance.now() - since < WARM_UP_MS; i++) {
      hooks.progress(`warm-up ${i + 1}`);
      const { panicked } = await host.trial(await context.crewFor(host), setup.order);
      if (panicked) await context.close();
    }
    hooks.progress("the kill");
    const kill = await host.tracedTrial(await context.crewFor(host), setup.order);
    const machine = machineInfo();
    return {
      version: packageVersion(),
      machine,
      setup,
      timers: scale,
      layout: { name: layout.name, idea: layout.idea, ...countLayout(layout) },
      oversubscribed: oversubscribed(rolesOf(setup).length, machine),
      roles: rolesOf(setup),
      logEra: context.kernel.findProtocol(setup.protocol).logEra,
      kill,
      notes: [
        ...layout.notes,
        ...hypotheticalNotes(context.kernel, {
          protocol: setup.protocol,
          orders: setup.order === null ? [] : [setup.order],
          reaper: setup.reaper,
        }),
      ],
    };
  } finally {
    await context.close();
  }
}

/** The victim in slot 0, bystanders behind it, each half the size of the one before. */
function pressureOf(layout: Layout, setup: KillSetup): PressureOptions {
  const { ownPages, levels } = countLayout(layout);
  if (ownPages < MIN_OWN_PAGES) {
    throw new UsageError(
      `${layout.name}: ${ownPages} pages of its own come back when it dies, expected at least ${MIN_OWN_PAGES}`,
    );
  }
  const { frames, seed } = setup;
  const largest = Math.min(MAX_BYSTANDER_PAGES, Math.floor(ownPages * BYSTANDER_SHARE));
  const bystanders = Array.from({ length: setup.bystanders }, (_, i) => bystander(Math.max(1, largest >> i)));
  return {
    ...actorsOf(setup),
    processes: [{ comm: "victim", mappings: layout.vmas, frames, seed }],
    sleepers: bystanders,
    busy: busyRange(layout),
    levels,
    protocol: setup.protocol,
    wanted: Math.floor(ownPages * WANTED_SHARE),
    traceEvents: traceEventsFor(layout.vmas.length),
    lockOrder: false,
  };
}

function bystander(pages: number): ProcessSetup {
  const mappings = [{ startVpn: LAYOUT_START_VPN, pages, flags: VM_READ | VM_WRITE, present: "all" as const }];
  return { comm: "bystander", mappings, frames: "sequential", seed: 0 };
}

/** The first private pages that it may write to; none in an address space of other things. */
function busyRange(layout: Layout): PressureOptions["busy"] {
  const writable = ({ flags }: Layout["vmas"][number]): boolean =>
    (flags & (VM_WRITE | VM_SHARED | VM_HUGETLB | VM_PFNMAP)) === VM_WRITE;
  for (const vma of layout.vmas.filter(writable)) {
    const { 0: offset, 1: count } = runsOf(vma).present;
    if (offset !== undefined && count !== undefined) {
      return { startVpn: vma.startVpn + offset, pages: Math.min(count, BUSY_PAGES) };
    }
  }
  return { startVpn: 0, pages: 0 };
}

function rolesOf({ reaper, reapers, allocators }: KillSetup): string[] {
  return [
    "victim",
    ...Array.from({ length: reaper === "none" ? 0 : reapers }, () => reaper),
    ...Array.from({ length: allocators }, (_, i) => `allocator ${i + 1}`),
  ];
}
