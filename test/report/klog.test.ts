/** The log of one whole kill, word for word, as each kind of kernel prints it. */

import { describe, expect, it } from "vitest";
import { findProtocol } from "../../src/machine/roles.ts";
import { MMF_OOM_SKIP, Mm } from "../../src/mm/mm-struct.ts";
import { GFP_KERNEL } from "../../src/mm/page-alloc.ts";
import { ORDER_SYSRQ } from "../../src/oom/oom-control.ts";
import {
  oomControl,
  oomKillerDisable,
  oomKillerEnable,
  outOfMemory,
  sysrqOomKill,
} from "../../src/oom/out-of-memory.ts";
import { PROTOCOLS } from "../../src/oom/protocols/index.ts";
import { logUnableToReap } from "../../src/oom/reaping-log.ts";
import { formatKlogLine, kernelLog } from "../../src/report/klog.ts";
import { Signal } from "../../src/task/signal.ts";
import { Task } from "../../src/task/task.ts";
import { OomLab } from "../oom/lab.ts";
import { drainLab, loggedKill, REAPER, victimLast } from "../oom/logged-kill.ts";

/** Of the stepping engine's clock. */
const TIME = { originNs: 0, usPerNs: 1 / 1000 };

function logOf(lab: OomLab, protocol: string): string[] {
  return kernelLog(drainLab(lab), findProtocol(protocol).logEra, TIME).map(formatKlogLine);
}

/** The log of the kill that `logged-kill` makes. */
function wholeLog(protocol: string): string[] {
  const { lab, programs } = loggedKill(protocol, { minFreePages: 4 });
  lab.finish(programs, victimLast());
  return logOf(lab, protocol);
}

/** Texts without their times. */
function texts(lines: readonly string[]): string[] {
  return lines.map((line) => line.replace(/^\[ *\d+\.\d{6}\] /, ""));
}

const FREE = "0*4kB 0*8kB 1*16kB 0*32kB 0*64kB 0*128kB 0*256kB 0*512kB 0*1024kB 0*2048kB 0*4096kB = 16kB";

describe("a whole kill", () => {
  it.each(["v4.13", "v4.14", "hocko-v1", "hocko-v2"])(
    "%s: tables counted by level, a score, two lines for one death",
    (name) => {
      expect(texts(wholeLog(name))).toEqual([
        "sshd: a session invoked oom-killer: gfp_mask=0x14000c0(GFP_KERNEL), nodemask=(null),  order=0, oom_score_adj=-1000",
        "sshd: a session cpuset=/ mems_allowed=0",
        "Mem-Info:",
        "Node 0 Normal free:16kB min:16kB low:20kB high:24kB managed:256kB",
        `Node 0 Normal: ${FREE}`,
        "65 pages RAM",
        "[ pid ]   uid  tgid total_vm      rss nr_ptes nr_pmds swapents oom_score_adj name",
        "[ 1000]  1000  1000       40       40       1       1        0             0 hog",
        "[ 1001]     0  1001        2        2       1       1        0         -1000 sshd: a session",
        "Out of memory: Kill process 1000 (hog) score 671 or sacrifice child",
        "Killed process 1000 (hog) total-vm:160kB, anon-rss:160kB, file-rss:0kB, shmem-rss:0kB",
        "oom_reaper: reaped process 1000 (hog), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
      ]);
    },
  );

  it("v4.17: page tables in bytes", () => {
    expect(texts(wholeLog("v4.17"))).toEqual([
      "sshd: a session invoked oom-killer: gfp_mask=0x14000c0(GFP_KERNEL), nodemask=(null), order=0, oom_score_adj=-1000",
      "sshd: a session cpuset=/ mems_allowed=0",
      "Mem-Info:",
      "Node 0 Normal free:16kB min:16kB low:20kB high:24kB managed:256kB",
      `Node 0 Normal: ${FREE}`,
      "65 pages RAM",
      "[ pid ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name",
      "[ 1000]  1000  1000       40       40    12288        0             0 hog",
      "[ 1001]     0  1001        2        2    12288        0         -1000 sshd: a session",
      "Out of memory: Kill process 1000 (hog) score 671 or sacrifice child",
      "Killed process 1000 (hog) total-vm:160kB, anon-rss:160kB, file-rss:0kB, shmem-rss:0kB",
      "oom_reaper: reaped process 1000 (hog), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
    ]);
  });

  it.each(["v5.17", "v6.1"])("%s: one line for the choice, one for the death", (name) => {
    expect(texts(wholeLog(name))).toEqual([
      "sshd: a session invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=-1000",
      "Mem-Info:",
      "Node 0 Normal free:16kB boost:0kB min:16kB low:20kB high:24kB managed:256kB",
      `Node 0 Normal: ${FREE}`,
      "65 pages RAM",
      "Tasks state (memory values in pages):",
      "[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name",
      "[   1000]  1000  1000       40       40    12288        0             0 hog",
      "[   1001]     0  1001        2        2    12288        0         -1000 sshd: a session",
      "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/,task=hog,pid=1000,uid=1000",
      "Out of memory: Killed process 1000 (hog) total-vm:160kB, anon-rss:160kB, file-rss:0kB, shmem-rss:0kB, UID:1000 pgtables:12kB oom_score_adj:0",
      "oom_reaper: reaped process 1000 (hog), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
    ]);
  });

  it("v6.18: rss by kind; the reaper two kernel seconds after the kill", () => {
    expect(wholeLog("v6.18")).toEqual([
      "[    0.000000] sshd: a session invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=-1000",
      "[    0.000000] Mem-Info:",
      "[    0.000000] Node 0 Normal free:16kB boost:0kB min:16kB low:20kB high:24kB managed:256kB",
      `[    0.000000] Node 0 Normal: ${FREE}`,
      "[    0.000000] 65 pages RAM",
      "[    0.000000] Tasks state (memory values in pages):",
      "[    0.000000] [  pid  ]   uid  tgid total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes swapents oom_score_adj name",
      "[    0.000000] [   1000]  1000  1000       40       40       40        0         0    12288        0             0 hog",
      "[    0.000000] [   1001]     0  1001        2        2        2        0         0    12288        0         -1000 sshd: a session",
      "[    0.000000] oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/,task=hog,pid=1000,uid=1000",
      "[    0.000000] Out of memory: Killed process 1000 (hog) total-vm:160kB, anon-rss:160kB, file-rss:0kB, shmem-rss:0kB, UID:1000 pgtables:12kB oom_score_adj:0",
      "[    2.000000] oom_reaper: reaped process 1000 (hog), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
    ]);
  });
});

/** As log watchers look for a kill: one that takes every kernel's "Killed process", and the patterns around it. */
const KILLED =
  /Killed process (\d+),? \((.+)\) total-vm:(\d+)kB, anon-rss:(\d+)kB, file-rss:(\d+)kB(?:, shmem-rss:(\d+)kB)?/;
const CONTAINER =
  /oom-kill:constraint=(.*),nodemask=(.*),cpuset=(.*),mems_allowed=(.*),(?:oom_memcg=(.*)|global_oom),task_memcg=(.*),task=(.*),pid=(.*),uid=(.*)/;
const TASK = /^\[\s*(\d+)\]\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s(?:.*\s)(-?\d+)\s(.*)$/;

describe("a log watcher", () => {
  it.each(PROTOCOLS.map(({ name }) => name))("understands the log of %s", (name) => {
    const lines = texts(wholeLog(name));
    expect(lines[0]).toMatch(
      /^.* invoked oom-killer: gfp_mask=0x[0-9a-f]+\(\S+\),.* order=-?\d+, oom_score_adj=-?\d+$/,
    );
    const kills = lines.flatMap((line) => KILLED.exec(line)?.slice(1) ?? []);
    expect(kills).toEqual(["1000", "hog", "160", "160", "0", "0"]);
    const tasks = lines.flatMap((line) => [TASK.exec(line)?.slice(1) ?? []]).filter((row) => row.length > 0);
    expect(tasks).toEqual([
      ["1000", "1000", "1000", "40", "40", "0", "hog"],
      ["1001", "0", "1001", "2", "2", "-1000", "sshd: a session"],
    ]);
    const summaries = lines.flatMap((line) => CONTAINER.exec(line)?.slice(6) ?? []);
    const old = ["v4.13", "v4.14", "v4.17", "hocko-v1", "hocko-v2"].includes(name);
    expect(summaries).toEqual(old ? [] : ["/", "hog", "1000", "1000"]);
  });
});

describe("what else is said", () => {
  const VMA = [{ startVpn: 0x10, pages: 3, flags: 2, present: "all" }] as const;

  function labOf(protocol: string, shape = {}): OomLab {
    return new OomLab({ protocol, cpus: 3, mms: 3, oomKiller: true, traceEvents: 256, ...shape });
  }

  /** The lines behind the task table's head. */
  function behindTable(lab: OomLab, protocol: string): string[] {
    const lines = texts(logOf(lab, protocol));
    return lines.slice(lines.findIndex((line) => line.startsWith("[ ")) + 1);
  }

  it("a machine with nobody to kill dies in the words of its time", () => {
    for (const [protocol, last] of [
      ["v4.14", ["Kernel panic - not syncing: Out of memory and no killable processes..."]],
      [
        "v6.1",
        ["Out of memory and no killable processes...", "Kernel panic - not syncing: System is deadlocked on memory"],
      ],
    ] as const) {
      const lab = labOf(protocol);
      const dying = (): boolean =>
        lab.alone(REAPER, (cpu) => outOfMemory(cpu, oomControl(cpu, 0, GFP_KERNEL), findProtocol(protocol)));
      expect(dying).toThrow("deadlocked on memory");
      expect(behindTable(lab, protocol)).toEqual(last);
    }
  });

  it("sysrq finds nobody, and the machine lives", () => {
    const lab = labOf("v6.18");
    expect(lab.alone(REAPER, (cpu) => sysrqOomKill(cpu, findProtocol("v6.18")))).toBe(false);
    const lines = texts(logOf(lab, "v6.18"));
    expect(lines[0]).toBe(
      `swapper/${REAPER} invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=${ORDER_SYSRQ}, oom_score_adj=0`,
    );
    expect(lines.at(-1)).toBe("Out of memory and no killable processes...");
  });

  it("panic_on_oom", () => {
    const lab = labOf("v6.18", { panicOnOom: 1 });
    const dying = (): boolean =>
      lab.alone(REAPER, (cpu) => outOfMemory(cpu, oomControl(cpu, 0, GFP_KERNEL), findProtocol("v6.18")));
    expect(dying).toThrow("panic_on_oom");
    expect(behindTable(lab, "v6.18")).toEqual([
      "Kernel panic - not syncing: Out of memory: system-wide panic_on_oom is enabled",
    ]);
  });

  it("oom_kill_allocating_task, and a victim whose mm the global init shares", () => {
    const lab = labOf("v6.1", { oomKillAllocatingTask: true });
    const victim = lab.spawn(0, VMA);
    const init = lab.share(1, victim);
    lab.words[init.task + Task.pid] = 1;
    lab.words[lab.word(init.task + Task.signal) + Signal.tgid] = 1;
    lab.alone(0, (cpu) => outOfMemory(cpu, oomControl(cpu, 0, GFP_KERNEL), findProtocol("v6.1")));
    expect(behindTable(lab, "v6.1").slice(2)).toEqual([
      "Out of memory (oom_kill_allocating_task): Killed process 1000 () total-vm:12kB, anon-rss:12kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:12kB oom_score_adj:0",
      "oom killer 1000 () has mm pinned by 1 ()",
    ]);
  });

  it("the killer is switched off and on", () => {
    const lab = labOf("v4.14");
    lab.alone(REAPER, function* (cpu) {
      yield* oomKillerDisable(cpu, 1000);
      yield* oomKillerEnable(cpu);
    });
    expect(texts(logOf(lab, "v4.14"))).toEqual(["OOM killer disabled.", "OOM killer enabled."]);
  });

  it("a victim that came through by itself is no failure of the reaper since v4.17", () => {
    for (const [protocol, skip, lines] of [
      ["v4.14", MMF_OOM_SKIP, ["oom_reaper: unable to reap pid:1000 (hog)"]],
      ["v4.17", MMF_OOM_SKIP, []],
      ["v6.18", 0, ["oom_reaper: unable to reap pid:1000 (hog)"]],
    ] as const) {
      const { lab, victim, programs } = loggedKill(protocol);
      lab.finish(programs, victimLast());
      drainLab(lab);
      lab.words[victim.mm + Mm.flags] = skip;
      lab.alone(REAPER, function* (cpu) {
        logUnableToReap(cpu, victim.mm);
      });
      expect(texts(logOf(lab, protocol))).toEqual(lines);
    }
  });
});

it("counts time from the origin it is given, in emulated microseconds", () => {
  const record = { timeNs: 12_345_678, cpu: 1, event: 0, a: 0, b: 0 };
  const { lab } = loggedKill("v6.1");
  lab.alone(REAPER, (cpu) => oomKillerDisable(cpu, 1000));
  const [switched] = drainLab(lab);
  const at = { ...record, event: switched?.event ?? 0 };
  expect(kernelLog([at], "v6.8", { originNs: 345_678, usPerNs: 1 }).map(formatKlogLine)).toEqual([
    "[   12.000000] OOM killer disabled.",
  ]);
});
