/** Compiling the C twin (bench/native) on demand, for the kernel build it runs beside. */

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { distUrl } from "../strip/dist.ts";
import type { Kernel } from "./kernel-variant.ts";
import { nativeLayout } from "./native-layout.ts";

const run = promisify(execFile);

/** Signed overflow wraps, as the kernel's counters do. */
const FLAGS = ["-std=gnu11", "-O2", "-fwrapv", "-pthread"];
const UNIT = "all.c";

/** A twin that can be started, or why there is none. */
export type NativeBuild =
  | { readonly available: true; readonly program: string; readonly compiler: string }
  | { readonly available: false; readonly reason: string };

export interface NativeBuildOptions {
  /** Compilers to try, the first that works is taken; by default $CC, cc, gcc, clang. */
  readonly compilers?: readonly string[];
  /** Folder for built twins, one per compiler, sources and layout; by default in the user's cache. */
  readonly cache?: string;
}

function defaultCompilers(): string[] {
  const chosen = process.env.CC;
  return [...(chosen ? [chosen] : []), "cc", "gcc", "clang"];
}

function defaultCache(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "oomrace", "native");
}

/** bench/native of the package, beside the folder of the built files. */
function sourceFolder(): string {
  return fileURLToPath(new URL("../bench/native/", distUrl("")));
}

/** Builds the twin for `kernel`, a parallel build, unless the cache has it. */
export async function buildNative(kernel: Kernel, options: NativeBuildOptions = {}): Promise<NativeBuild> {
  const folder = sourceFolder();
  if (!existsSync(join(folder, UNIT))) return { available: false, reason: `no C sources in ${folder}` };
  const names = readdirSync(folder).filter((name) => /\.[ch]$/.test(name));
  const sources = names.sort().map((name) => readFileSync(join(folder, name), "utf8"));
  const layout = nativeLayout(kernel, sources.join("\n"));
  const failures: string[] = [];
  for (const compiler of options.compilers ?? defaultCompilers()) {
    try {
      const version = await compilerVersion(compiler);
      const key = createHash("sha256").update([compiler, version, ...FLAGS, layout, ...sources].join("\0"));
      const target = join(options.cache ?? defaultCache(), key.digest("hex").slice(0, 16), "twin");
      if (!existsSync(target)) await compile(compiler, folder, layout, target);
      return { available: true, program: target, compiler: version };
    } catch (error) {
      failures.push(`${compiler}: ${firstLine(error)}`);
    }
  }
  return { available: false, reason: `no C compiler (${failures.join("; ")})` };
}

/** First line of `--version`: "gcc (Debian 12.2.0) 12.2.0". */
async function compilerVersion(compiler: string): Promise<string> {
  const { stdout } = await run(compiler, ["--version"]);
  return stdout.split("\n", 1)[0] as string;
}

/** Others may build the same twin meanwhile: each builds under a name of its own and the last one stays. */
async function compile(compiler: string, folder: string, layout: string, target: string): Promise<void> {
  const work = `${dirname(target)}.${process.pid}`;
  mkdirSync(work, { recursive: true });
  try {
    writeFileSync(join(work, "layout.h"), layout);
    const made = join(work, "twin");
    await run(compiler, [...FLAGS, "-I", work, "-I", folder, "-o", made, join(folder, UNIT)]);
    mkdirSync(dirname(target), { recursive: true });
    renameSync(made, target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The compiler's first complaint, or why it could not be run. */
function firstLine(error: unknown): string {
  const { stderr, code, message } = error as { stderr?: string; code?: string | number; message: string };
  if (code === "ENOENT") return "not found";
  const complaint = stderr?.split("\n").find((line) => line.includes("error"));
  return complaint ?? (message.split("\n", 1)[0] as string);
}
