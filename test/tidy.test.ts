/** Holds what the architecture promises about the source tree itself. */

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { KERNEL_FOLDERS } from "../src/strip/kernel-files.ts";
import { maskText } from "../src/strip/type-scan.ts";

const root = resolve(import.meta.dirname, "..");

/** Folders of src, lowest first. A file imports from its own folder and lower ones. */
const ORDER = [
  "base",
  "arena",
  "trace",
  "sync",
  "mm",
  "task",
  "oom",
  "machine",
  "check",
  "kernel",
  "explore",
  "scenario",
  "run",
  "report",
  "cli",
];

const KERNEL = "src/kernel.ts";

interface SourceFile {
  /** Path from the repository's root, with slashes. */
  readonly path: string;
  readonly text: string;
  /** Without comments. */
  readonly code: string;
}

function filesUnder(folder: string): SourceFile[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => {
      const path = `${folder}/${name.replaceAll("\\", "/")}`;
      const text = readFileSync(join(root, path), "utf8");
      return { path, text, code: maskText(text, true) };
    });
}

const sources = filesUnder("src");
const kernel = sources.filter(({ path }) => KERNEL_FOLDERS.some((folder) => path.startsWith(`src/${folder}/`)));

/** Specifiers of all imports and re-exports, of types too. */
function importsOf({ code }: SourceFile): string[] {
  return [...code.matchAll(/\b(?:from|import)\s*\(?\s*["']([^"']+)["']/g)].map((match) => match[1] as string);
}

/** Files of src that a file of src imports. */
function edgesOf(file: SourceFile): string[] {
  return importsOf(file)
    .filter((specifier) => specifier.startsWith("."))
    .map((specifier) => relative(root, join(root, dirname(file.path), specifier)).replaceAll("\\", "/"));
}

function folderOf(path: string): string {
  if (path === KERNEL) return "kernel";
  return path.split("/").length > 2 ? (path.split("/")[1] as string) : "";
}

/** Folders that a file may import, or undefined for files that wire everything. "kernel" is the kernel's own barrel. */
function allowedFolders(path: string): readonly string[] | undefined {
  const folder = folderOf(path);
  if (path === KERNEL) return ORDER.slice(0, ORDER.indexOf("kernel"));
  if (folder === "") return undefined;
  if (folder === "strip") return ["base", "strip"];
  const below = ORDER.slice(0, ORDER.indexOf(folder) + 1);
  return folder === "run" || folder === "cli" ? [...below, "strip"] : below;
}

/** "path:line" of each match in the code of some files. */
function places(files: readonly SourceFile[], pattern: RegExp): string[] {
  return files.flatMap(({ path, code }) =>
    [...code.matchAll(pattern)].map((match) => `${path}:${code.slice(0, match.index).split("\n").length} ${match[0]}`),
  );
}

describe("imports", () => {
  it("point one way", () => {
    const upward = sources.flatMap((file) => {
      const allowed = allowedFolders(file.path);
      if (!allowed) return [];
      return edgesOf(file)
        .filter((target) => !allowed.includes(folderOf(target)))
        .map((target) => `${file.path} imports ${target}`);
    });
    expect(upward).toEqual([]);
  });

  it("cover every folder of src", () => {
    const folders = new Set(sources.map(({ path }) => folderOf(path)));
    expect([...folders].filter((folder) => !["", "strip", ...ORDER].includes(folder))).toEqual([]);
  });

  it("form no cycle", () => {
    const graph = new Map(sources.map((file) => [file.path, edgesOf(file)]));
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(" > "));
      else if (!done.has(path)) {
        for (const target of graph.get(path) ?? []) visit(target, [...trail, path]);
        done.add(path);
      }
    };
    for (const path of graph.keys()) visit(path, []);
    expect(cycles).toEqual([]);
  });

  it("of thread libraries stay in src/run", () => {
    const libraries = /^(node:)?(worker_threads|comlink|piscina)$/;
    const strangers = sources
      .filter(({ path }) => folderOf(path) !== "run")
      .flatMap((file) =>
        importsOf(file)
          .filter((s) => libraries.test(s))
          .map((s) => `${file.path} imports ${s}`),
      );
    expect(strangers).toEqual([]);
  });

  it("never reach tests, benches or workers", () => {
    const outside = sources.flatMap((file) =>
      edgesOf(file)
        .filter((target) => !target.startsWith("src/"))
        .map((target) => `${file.path} imports ${target}`),
    );
    expect(outside).toEqual([]);
  });
});

describe("the emulated kernel", () => {
  const outsideSeam = kernel.filter(({ path }) => path !== "src/arena/mem.ts");
  const outsideClock = kernel.filter(({ path }) => path !== "src/arena/solo-port.ts");

  it("names Atomics in the seam only", () => {
    expect(kernel.length).toBeGreaterThan(10);
    expect(places(outsideSeam, /\bAtomics\b/g)).toEqual([]);
  });

  it("asks its CPU for time and chance", () => {
    expect(places(outsideClock, /\b(Date|performance|Math\.random|setTimeout|setInterval|console)\b/g)).toEqual([]);
  });
});

describe("every file", () => {
  it("has at most 400 lines", () => {
    const long = sources.filter(({ text }) => text.split("\n").length > 401).map(({ path }) => path);
    expect(long).toEqual([]);
  });

  it("of the tests runs whole", () => {
    expect(places(filesUnder("test"), /\b(it|test|describe)\.(skip|only|todo)\b/g)).toEqual([]);
  });
});
