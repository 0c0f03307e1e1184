/** Compiling the C programs of bench/native on demand: the twin, for the kernel build it runs beside, and mrelease. */

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { distUrl } from "../strip/dist.ts";
import type { Kernel } from "./kernel-variant.ts";
import { nativeLayout } from "./native-layout.ts";

const run = promisify(execFile);

/** Signed overflow wraps, as the kernel's counters do. */
const FLAGS = ["-std=gnu11", "-O2", "-fwrapv", "-pthread"];

/** A C program of the package: one translation unit that includes the other files of its folder. */
interface NativeProgram {
  readonly name: string;
  readonly folder: string;
  readonly unit: string;
  /** Headers written for it, by name. */
  headers(sources: string): Readonly<Record<string, string>>;
}

/** A program that can be started, or why there is none. */
export type NativeBuild =
  | { readonly available: true; readonly program: string; readonly compiler: string }
  | { readonly available: false; readonly reason: string };

export interface NativeBuildOptions {
  /** Compilers to try, the first that works is taken; by default $CC, cc, gcc, clang. */
  readonly compilers?: readonly string[];
  /** Folder for built programs, one per compiler, sources and headers; by default in the user's cache. */
  readonly cache?: string;
}

function defaultCompilers(): string[] {
  const chosen = process.env.CC;
  return [...(chosen ? [chosen] : []), "cc", "gcc", "clang"];
}

function defaultCache(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "oomrace", "native");
}

/** A folder of the package, which lies beside that of the built files. */
function sourceFolder(path: string): string {
  return fileURLToPath(new URL(`../${path}/`, distUrl("")));
}

/** Builds the twin for `kernel`, a parallel build, unless the cache has it. */
export function buildNative(kernel: Kernel, options: NativeBuildOptions = {}): Promise<NativeBuild> {
  const headers = (sources: string) => ({ "layout.h": nativeLayout(kernel, sources) });
  return buildProgram({ name: "twin", folder: "bench/native", unit: "all.c", headers }, options);
}

/** Builds bench/native/mrelease, for Linux only, unless the cache has it. */
export function buildMrelease(options: NativeBuildOptions = {}): Promise<NativeBuild> {
  const folder = "bench/native/mrelease";
  return buildProgram({ name: "mrelease", folder, unit: "mrelease.c", headers: () => ({}) }, options);
}

async function buildProgram(program: NativeProgram, options: NativeBuildOptions): Promise<NativeBuild> {
  const folder = sourceFolder(program.folder);
  const unit = join(folder, program.unit);
  if (!existsSync(unit)) return { available: false, reason: `no C sources in ${folder}` };
  const names = readdirSync(folder).filter((name) => /\.[ch]$/.test(name));
  const sources = names.sort().map((name) => readFileSync(join(folder, name), "utf8"));
  const headers = program.headers(sources.join("\n"));
  const failures: string[] = [];
  for (const compiler of options.compilers ?? defaultCompilers()) {
    try {
      const version = await compilerVersion(compiler);
      const parts = [compiler, version, ...FLAGS, ...Object.values(headers), ...sources];
      const key = createHash("sha256").update(parts.join("\0")).digest("hex").slice(0, 16);
      const target = join(options.cache ?? defaultCache(), key, program.name);
      if (!existsSync(target)) await compile(compiler, unit, headers, target);
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

/** Others may build the same program meanwhile: each builds under a name of its own and the last one stays. */
async function compile(
  compiler: string,
  unit: string,
  headers: Readonly<Record<string, string>>,
  target: string,
): Promise<void> {
  const work = `${dirname(target)}.${process.pid}`;
  mkdirSync(work, { recursive: true });
  try {
    for (const [name, text] of Object.entries(headers)) writeFileSync(join(work, name), text);
    const made = join(work, basename(target));
    await run(compiler, [...FLAGS, "-I", work, "-I", dirname(unit), "-o", made, unit]);
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
