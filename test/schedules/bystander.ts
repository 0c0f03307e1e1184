/** A task that looked into another process (reading /proc/PID/smaps, say) and now drops its hold on the address space. */

import { type Cpu, mmput, type Steps } from "oomrace/kernel";

function* bystander(cpu: Cpu, params: { readonly mm: number }): Steps<void> {
  yield* mmput(cpu, params.mm);
}

export const roles = { bystander };
