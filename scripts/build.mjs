/**
 * Builds dist/: the emulated kernel in its four variants, worker entries, the command line, the library, types.
 * Everything is made in a folder of its own and then moved into place file by file, so builds may overlap.
 */

import { spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const KERNEL = "src/kernel.ts";
const CPU_WORKER = "workers/cpu.ts";

/**
 * One bundle each: entries of a bundle share module instances. Host code (cli, index) lives with the interleaved
 * kernel, which it may drive in-process; the other variants it imports by URL. An entry that does not exist yet is
 * skipped with a printed line.
 */
const BUNDLES = [
  { variant: "parallel", entries: { "kernel-parallel": KERNEL, "worker-parallel": CPU_WORKER } },
  { variant: "stress", entries: { "kernel-stress": KERNEL, "worker-stress": CPU_WORKER } },
  { variant: "forced", entries: { "kernel-forced": KERNEL, "worker-forced": CPU_WORKER } },
  {
    variant: "interleaved",
    entries: {
      "kernel-interleaved": KERNEL,
      cli: "src/cli/main.ts",
      index: "src/index.ts",
      "worker-explore": "workers/explore.ts",
      "bench-explore": "bench/explore/main.ts",
      "bench-replays": "bench/explore/replays-main.ts",
      "bench-proofs": "bench/explore/proofs-main.ts",
    },
  },
  { variant: "parallel", entries: { sync: "src/sync/standalone.ts" } },
];

// esbuild names files by their real path.
const root = realpathSync(dirname(dirname(fileURLToPath(import.meta.url))));
const dist = join(root, "dist");
const work = join(root, ".cache", `build-${process.pid}`);
const out = join(work, "dist");

/** The stripping step is TypeScript itself: bundled first, then used. */
async function loadStripping() {
  const outfile = join(work, "strip.mjs");
  await build({
    entryPoints: [join(root, "src/strip/index.ts")],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    sourcemap: "inline",
  });
  return import(pathToFileURL(outfile).href);
}

function existingEntries(entries) {
  return Object.fromEntries(
    Object.entries(entries).filter(([name, path]) => {
      const exists = existsSync(join(root, path));
      if (!exists) console.log(`build: skipped ${name}.js: ${path} does not exist yet`);
      return exists;
    }),
  );
}

async function bundle(strip, analysis, { variant, entries }) {
  const entryPoints = existingEntries(entries);
  if (Object.keys(entryPoints).length === 0) return {};
  const result = await build({
    absWorkingDir: root,
    entryPoints,
    outdir: out,
    // Chunks lie beside the entries: `import.meta.url` means dist/ in all of them.
    chunkNames: `${variant}-[hash]`,
    bundle: true,
    splitting: true,
    platform: "node",
    format: "esm",
    target: "node20.19",
    packages: "external",
    sourcemap: true,
    // Folds build flags and constants away; names stay readable.
    minifySyntax: true,
    metafile: true,
    write: false,
    define: { ...strip.buildFlags(variant), CODE_HASH: JSON.stringify(strip.codeHash(analysis, root)) },
    plugins: [strip.stripPlugin(analysis, variant)],
    logLevel: "warning",
  });
  writeOutputs(strip, result.outputFiles);
  return result.metafile.outputs;
}

/** Writes each script with its source map, constants restored. */
function writeOutputs(strip, files) {
  const texts = new Map(files.map((file) => [file.path, file.text]));
  for (const [path, code] of texts) {
    if (path.endsWith(".map")) continue;
    const kept = strip.keepConstants({ code, map: texts.get(`${path}.map`) });
    writeFileSync(path, kept.code);
    writeFileSync(`${path}.map`, kept.map);
  }
}

/** What the kernel offers to users' modules: its exports, and which of them and of its methods are generators. */
function writeGenerators(analysis, outputs) {
  const kernel = Object.entries(outputs).find(([path]) => path.endsWith("/kernel-interleaved.js"));
  const exports = [...(kernel?.[1].exports ?? [])].sort();
  const functions = exports.filter((name) => analysis.names.functions.has(name));
  const members = [...analysis.names.members.keys()].sort();
  writeFileSync(join(out, "generators.json"), `${JSON.stringify({ functions, members, exports }, null, 2)}\n`);
}

function emitTypes() {
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const options = ["-p", join(root, "scripts/tsconfig.types.json"), "--outDir", join(out, "types")];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [tsc, ...options], { stdio: "inherit" });
    child.on("error", reject);
    child.on("exit", (code) => (code === 0 ? resolve() : reject(new Error(`tsc ended with code ${code}`))));
  });
}

function filesUnder(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}

/** Chunks go first, so that an entry never names one that is missing; what is left over goes last. */
function publish() {
  const isChunk = (name) => /-[0-9A-Z]{8}\.js$/.test(name);
  const files = filesUnder(out).sort((a, b) => Number(isChunk(b)) - Number(isChunk(a)));
  for (const file of files) {
    mkdirSync(dirname(join(dist, file)), { recursive: true });
    renameSync(join(out, file), join(dist, file));
  }
  const made = new Set(files);
  for (const file of filesUnder(dist)) if (!made.has(file)) rmSync(join(dist, file), { force: true });
}

function finishCli() {
  const cli = join(out, "cli.js");
  if (!existsSync(cli)) return;
  if (!readFileSync(cli, "utf8").startsWith("#!"))
    throw new Error("src/cli/main.ts must begin with #!/usr/bin/env node");
  chmodSync(cli, 0o755);
}

async function main() {
  const started = performance.now();
  mkdirSync(out, { recursive: true });
  const types = emitTypes();
  const strip = await loadStripping();
  const analysis = await strip.analyse(strip.kernelFiles(root), { seam: strip.seamFile(root) });
  if (analysis.refusals.length > 0) {
    await types.catch(() => {});
    throw new Error(`${analysis.refusals.length} refused\n${strip.describeRefusals(analysis.refusals)}`);
  }
  const outputs = await Promise.all(BUNDLES.map((one) => bundle(strip, analysis, one)));
  writeGenerators(analysis, Object.assign({}, ...outputs));
  finishCli();
  await types;
  publish();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`build: ${analysis.sources.size} kernel files, four variants, types: ${seconds} s`);
}

try {
  await main();
} catch (error) {
  console.error(`build: ${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
