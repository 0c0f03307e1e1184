/** Which kills count as needless: those that come while an earlier victim has pages that its reaper could still take. */

import { describe, expect, it } from "vitest";
import { setMmFlag } from "../../src/mm/mm.ts";
import { MM_ANONPAGES, MM_SHMEMPAGES, MMF_OOM_SKIP, Mm } from "../../src/mm/mm-struct.ts";
import { VM_WRITE } from "../../src/mm/vma.ts";
import { OomGlobals } from "../../src/oom/globals.ts";
import { noteGivenUp } from "../../src/oom/needless.ts";
import { sysrqOomKill } from "../../src/oom/out-of-memory.ts";
import { v61 } from "../../src/oom/protocols/v6.1.ts";
import { OomLab } from "./lab.ts";

/** Somebody hides the first victim with MMF_OOM_SKIP, too early or not; memory is short again. */
function killTwice(between: (lab: OomLab, firstMm: number) => void): { kills: number; needless: number } {
  const lab = new OomLab({ protocol: "v6.1", cpus: 4, mms: 3, oomKiller: true });
  const large = lab.spawn(0, [{ startVpn: 0x10, pages: 9, flags: VM_WRITE, present: "all" }]);
  lab.spawn(1, [{ startVpn: 0x10, pages: 3, flags: VM_WRITE, present: "all" }]);
  lab.alone(3, (cpu) => sysrqOomKill(cpu, v61));
  between(lab, large.mm);
  lab.alone(2, (cpu) => setMmFlag(cpu, large.mm, MMF_OOM_SKIP));
  lab.alone(3, (cpu) => sysrqOomKill(cpu, v61));
  const word = (field: number): number => lab.word(lab.map.root + field);
  return { kills: word(OomGlobals.oomKills), needless: word(OomGlobals.needlessKills) };
}

describe("a second kill", () => {
  it("is needless while the first victim has private pages", () => {
    expect(killTwice(() => {})).toEqual({ kills: 2, needless: 1 });
  });

  it("is not once they are unmapped, whatever else is left of it", () => {
    const unmapped = killTwice((lab, mm) => {
      lab.words[mm + Mm.rss + MM_ANONPAGES] = 0;
      lab.words[mm + Mm.rss + MM_SHMEMPAGES] = 7;
    });
    expect(unmapped).toEqual({ kills: 2, needless: 0 });
  });

  it("is not when the reaper has given up on the first victim, and only on that one", () => {
    expect(killTwice((lab, mm) => noteGivenUp(lab.cpu(2), mm))).toEqual({ kills: 2, needless: 0 });
    expect(killTwice((lab, mm) => noteGivenUp(lab.cpu(2), mm + 1))).toEqual({ kills: 2, needless: 1 });
  });
});
