/** Users' modules for the tests, in a folder of their own. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class UserFiles {
  readonly folder = mkdtempSync(join(tmpdir(), "oomrace-cli-"));

  write(name: string, text: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, text);
    return path;
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Walks forward, and says "walking" on standard error when it does so for the `times`-th time. */
export function tellingOrder(times: number): string {
  return `
import { writeSync } from "node:fs";
import { TRAVERSAL_ORDERS, type TraversalOrder } from "oomrace/kernel";
const [forward] = TRAVERSAL_ORDERS as [TraversalOrder];
let walks = 0;
export const order: TraversalOrder = {
  ...forward,
  name: "telling",
  first(cpu, mm, cursor) {
    if (++walks === ${times}) writeSync(2, "walking\\n");
    return forward.first(cpu, mm, cursor);
  },
};`;
}

/** v6.1 with \`body\` in place of one side: statements of a generator function of \`cpu\` and \`mm\`. */
export function changedProtocol(name: string, side: "exitMmap" | "mreleaseMm", body: string): string {
  const result = side === "exitMmap" ? "void" : "number";
  return `
import { writeSync } from "node:fs";
import * as kernel from "oomrace/kernel";
import { mmapReadLock, mmapReadUnlock, mmapWriteLock, setMmFlag, sleepUs, type Cpu, type Steps } from "oomrace/kernel";
function* changed(cpu: Cpu, mm: number): Steps<${result}> {
  ${body}
}
export const protocol: kernel.Protocol = { ...kernel.findProtocol("v6.1"), name: "${name}", ${side}: changed };`;
}
