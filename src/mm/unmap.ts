/**
 * The two walks that race: the victim's over all its VMAs (mm/memory.c: unmap_vmas, v6.14) and the reaper's over
 * those it may touch (mm/oom_kill.c: __oom_reap_task_mm, v6.18).
 *
 * Both hold mmap_lock for reading, or are shut out from each other by what their protocol names.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { load, nowNs } from "../arena/mem.ts";
import { noteProgress } from "../sync/lock-stat.ts";
import { ZAP_BEGIN, ZAP_END } from "../trace/event.ts";
import { trace } from "../trace/ring.ts";
import { CpuMm, stamp } from "./cpu-mm.ts";
import { setMmFlag } from "./mm.ts";
import { MMF_UNSTABLE } from "./mm-struct.ts";
import { tlbFinishMmu, tlbGatherMmu } from "./mmu-gather.ts";
import { cursorEnd, cursorStart, cursorVma } from "./traversal/cursor.ts";
import type { TraversalOrder } from "./traversal/order.ts";
import { VM_SHARED, Vma, vmaEnd, vmaStart } from "./vma.ts";
import { firstVma, nextVma } from "./vma-iter.ts";
import { unmapPageRange, ZAP_TRY, ZAP_WAIT } from "./zap.ts";

/** `unmap_vmas` over the whole address space, low to high, into the gather that the caller opened. */
export function* unmapVmas(cpu: Cpu, mm: number): Steps<void> {
  const walk = cpu.mm + CpuMm.walk;
  for (let vma = firstVma(cpu, mm, walk); vma !== 0; vma = nextVma(cpu, vma, walk)) {
    trace(cpu, ZAP_BEGIN, mm, vma);
    yield* unmapPageRange(cpu, mm, vmaStart(cpu, vma), vmaEnd(cpu, vma), ZAP_WAIT);
    trace(cpu, ZAP_END, mm, vma);
    noteProgress(cpu);
  }
  stamp(cpu, CpuMm.leftLastVmaNs, nowNs(cpu));
}

/**
 * `__oom_reap_task_mm`: unmaps every private VMA without any of the `skip` flags, in the given order, one gather per
 * VMA. Shared mappings are left alone: other processes may still use those pages.
 * From MMF_UNSTABLE on, faults must not bring private pages back.
 */
export function* reapVmas(cpu: Cpu, mm: number, order: TraversalOrder, skip: number): Steps<void> {
  const cursor = cpu.mm + CpuMm.cursor;
  yield* setMmFlag(cpu, mm, MMF_UNSTABLE);
  let gathering = 0;
  let more = order.first(cpu, mm, cursor);
  while (more) {
    const vma = cursorVma(cpu, cursor);
    let done = true;
    if ((load(cpu, vma + Vma.flags) & (skip | VM_SHARED)) === 0) {
      if (gathering !== vma) {
        if (gathering !== 0) yield* tlbFinishMmu(cpu);
        yield* tlbGatherMmu(cpu, mm);
        gathering = vma;
      }
      const mode = order.mayTry(cpu, cursor) ? ZAP_TRY : ZAP_WAIT;
      trace(cpu, ZAP_BEGIN, mm, vma);
      done = yield* unmapPageRange(cpu, mm, cursorStart(cpu, cursor), cursorEnd(cpu, cursor), mode);
      trace(cpu, ZAP_END, mm, vma);
    }
    noteProgress(cpu);
    more = order.next(cpu, mm, cursor, !done);
  }
  if (gathering !== 0) yield* tlbFinishMmu(cpu);
  stamp(cpu, CpuMm.leftLastVmaNs, nowNs(cpu));
}
