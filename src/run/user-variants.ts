/**
 * Protocols and orders from a user's file: built for one kernel variant, taken in by this thread's instance of that
 * kernel, and by the workers' through the same URL.
 */

import { resolve } from "node:path";
import type { Adopted } from "../machine/adopt.ts";
import { fileLabel } from "../strip/file-label.ts";
import { buildUserModule, loadUserModule } from "../strip/user-module.ts";
import type { Kernel, Variant } from "./kernel-variant.ts";

export interface UserModule extends Adopted {
  /** As people know the file. */
  readonly file: string;
  /** What workers import. */
  readonly url: string;
}

/** Again and again the same module, however often it is asked for. Throws UsageError when it cannot be used. */
export async function adoptFile(kernel: Kernel, variant: Variant, path: string): Promise<UserModule> {
  const exports = await loadUserModule(path, variant);
  const file = fileLabel(resolve(path));
  return { file, url: await buildUserModule(path, variant), ...kernel.adopt(exports, file) };
}
