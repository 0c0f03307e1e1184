/**
 * Loads a user's own protocol, order or scenario: a file outside the package, stripped and checked like the kernel.
 *
 * `oomrace/kernel` inside it means the kernel variant that runs it, as the very module instance that the thread has
 * loaded. Main thread and workers use one build of it: `buildUserModule` gives its URL, each thread imports that.
 */

import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, extname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";
import { build, type Plugin } from "esbuild";
import { UsageError } from "../base/errors.ts";
import { distUrl } from "./dist.ts";
import { fileLabel } from "./file-label.ts";
import { KERNEL_MODULE, type KnownNames } from "./names.ts";
import { stripPlugin } from "./plugin.ts";
import { moduleName } from "./scope.ts";
import { type Refusal, refusalsOf, type SourceText } from "./source.ts";
import { type Analysis, analyse, describeRefusals, emit } from "./strip.ts";
import { buildFlags, type Variant } from "./variants.ts";

/** dist/generators.json */
export interface KernelNames extends KnownNames {
  /** Everything that the kernel exports. */
  readonly exports: readonly string[];
}

export const MODULE_EXTENSIONS = [".ts", ".mts", ".js", ".mjs"];

/** What users' modules may import of the package, and the built file that stands for it. */
const PACKAGE_MODULES: Record<string, (variant: Variant) => string> = {
  oomrace: () => "index.js",
  [KERNEL_MODULE]: (variant) => `kernel-${variant}.js`,
};

const builds = new Map<string, Promise<string>>();
let folder: string | undefined;

/** A folder of this thread's own, removed when it ends. */
export function buildFolder(): string {
  if (folder) return folder;
  const made = mkdtempSync(join(tmpdir(), "oomrace-"));
  process.once("exit", () => rmSync(made, { recursive: true, force: true }));
  folder = made;
  return made;
}

/**
 * Builds the module at `path` for one variant and returns the URL to import. The built file lives as long as the
 * calling thread, and is built once in it. Throws UsageError: a line for each thing that is wrong, "file:line:column: reason".
 */
export function buildUserModule(path: string, variant: Variant): Promise<string> {
  const entry = resolve(path);
  const key = `${variant}:${entry}`;
  const known = builds.get(key);
  if (known) return known;
  const made = buildOnce(entry, variant, `${builds.size}-${variant}.mjs`);
  builds.set(key, made);
  return made;
}

/** Builds and imports the module at `path`; returns its exports. Throws UsageError. */
export async function loadUserModule(path: string, variant: Variant): Promise<Record<string, unknown>> {
  const url = await buildUserModule(path, variant);
  try {
    return (await import(url)) as Record<string, unknown>;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(`${fileLabel(resolve(path))}: cannot be loaded: ${reason}`, { cause: error });
  }
}

async function buildOnce(entry: string, variant: Variant, name: string): Promise<string> {
  const real = entryFile(entry);
  const known = kernelNames();
  const analysis = await analyse(collectSources(real), { known });
  const refusals = [...analysis.refusals, ...unknownImports(analysis, known)];
  if (refusals.length > 0) throw new UsageError(describeRefusals(refusals));
  try {
    const file = join(buildFolder(), name);
    writeFileSync(file, await bundle(real, variant, { file, plugins: [stripPlugin(analysis, variant, true)] }));
    return pathToFileURL(file).href;
  } catch (error) {
    const refusals = refusalsOf(error, entry).map((refusal) => toOriginal(refusal, analysis, variant));
    throw new UsageError(describeRefusals(refusals), { cause: error });
  }
}

/** The real path of a user's file. Throws UsageError when there is none, or it is no module. */
export function entryFile(entry: string): string {
  if (!MODULE_EXTENSIONS.includes(extname(entry))) {
    throw new UsageError(`${fileLabel(entry)}: not a module (expected ${MODULE_EXTENSIONS.join(", ")})`);
  }
  if (!existsSync(entry) || !statSync(entry).isFile()) {
    throw new UsageError(`${fileLabel(entry)}: no such file, expected a module`);
  }
  return realpathSync(entry);
}

/** What `oomrace/kernel` offers. */
export function kernelNames(): KernelNames {
  return JSON.parse(readFileSync(distUrl("generators.json"), "utf8")) as KernelNames;
}

export interface BundleOptions {
  /** Where the text will lie: its source map names sources from there. */
  readonly file: string;
  readonly plugins?: readonly Plugin[];
  /** Functions are called as their author called them, though names clash when files become one. Default false. */
  readonly keepNames?: boolean;
}

/** Text of the entry and all that it imports, but for the package's modules. Rejects with esbuild's own errors. */
export async function bundle(
  entry: string,
  variant: Variant,
  { file, plugins = [], keepNames = false }: BundleOptions,
): Promise<string> {
  const result = await build({
    entryPoints: [entry],
    outfile: file,
    bundle: true,
    write: false,
    platform: "node",
    format: "esm",
    target: "node20.19",
    sourcemap: "inline",
    keepNames,
    define: buildFlags(variant),
    plugins: [packagePlugin(variant), ...plugins],
    logLevel: "silent",
  });
  return result.outputFiles[0]!.text;
}

/** Names imported from `oomrace/kernel` that it does not export. */
export function unknownImports(analysis: Pick<Analysis, "sources">, { exports }: KernelNames): Refusal[] {
  const exported = new Set(exports);
  const refusals: Refusal[] = [];
  for (const source of analysis.sources.values()) {
    for (const node of source.program.body) {
      if (node.type !== "ImportDeclaration" || node.source.value !== KERNEL_MODULE) continue;
      for (const specifier of node.specifiers) {
        if (specifier.type === "ImportNamespaceSpecifier") continue;
        const name = specifier.type === "ImportSpecifier" ? moduleName(specifier.imported) : "default";
        if (!exported.has(name)) {
          refusals.push({ ...source.placeOf(specifier), reason: `${KERNEL_MODULE} exports no "${name}"` });
        }
      }
    }
  }
  return refusals;
}

/** The bundler speaks of places in the stripped text; this leads them back to the user's. */
function toOriginal(refusal: Refusal, analysis: Analysis, variant: Variant): Refusal {
  const source = analysis.sources.get(resolve(refusal.file));
  if (!source) return refusal;
  const at = { line: refusal.line, column: refusal.column - 1 };
  const { line, column } = originalPositionFor(new TraceMap(emit(source, variant).map), at);
  return { ...refusal, line: line ?? 1, column: (column ?? 0) + 1 };
}

/** Points imports of the package at the built files of the variant in use. */
function packagePlugin(variant: Variant): Plugin {
  return {
    name: "oomrace-package",
    setup(api) {
      api.onResolve({ filter: /^oomrace(\/|$)/ }, ({ path }) => {
        const file = PACKAGE_MODULES[path]?.(variant);
        if (file) return { path: distUrl(file).href, external: true };
        const expected = Object.keys(PACKAGE_MODULES).join(" or ");
        return { errors: [{ text: `"${path}" cannot be imported here (expected ${expected})` }] };
      });
    },
  };
}

/** The entry and every file that it reaches by relative imports. What cannot be found is left to the bundler. */
export function collectSources(entry: string): SourceText[] {
  const sources = new Map<string, SourceText>();
  const reach = (path: string): void => {
    if (sources.has(path)) return;
    const text = readFileSync(path, "utf8");
    sources.set(path, { path, text });
    for (const match of text.matchAll(/\b(?:from|import)\s*\(?\s*["'](\.{1,2}\/[^"']+)["']/g)) {
      const target = resolveRelative(dirname(path), match[1] as string);
      if (target) reach(target);
    }
  };
  reach(entry);
  return [...sources.values()];
}

/** A file for a relative import: as written, with TypeScript's end for JavaScript's, or with an end added. */
function resolveRelative(from: string, specifier: string): string | undefined {
  const path = resolve(from, specifier);
  const swapped = path.replace(/\.(m?)js$/, ".$1ts");
  const candidates = [path, swapped, ...MODULE_EXTENSIONS.map((end) => path + end)];
  const found = candidates.find((c) => MODULE_EXTENSIONS.includes(extname(c)) && existsSync(c) && statSync(c).isFile());
  return found && realpathSync(found);
}
