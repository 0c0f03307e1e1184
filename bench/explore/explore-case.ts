/** `oomrace explore`, in a process of its own. */

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { ExploreResult } from "../../src/report/explore-result.ts";
import { distUrl } from "../../src/strip/dist.ts";

/** Its result, whether it found something or not. */
export async function exploreCase(args: readonly string[]): Promise<ExploreResult> {
  const cli = fileURLToPath(distUrl("cli.js"));
  return JSON.parse(await outputOf([cli, "explore", ...args, "--json", "-"])) as ExploreResult;
}

/** Exit code 1 says that something was found. */
async function outputOf(args: readonly string[]): Promise<string> {
  try {
    return (await promisify(execFile)(process.execPath, [...args])).stdout;
  } catch (error) {
    const { code, stdout } = error as { readonly code?: unknown; readonly stdout?: string };
    if (code === 1 && stdout) return stdout;
    throw error;
  }
}
