/** Bundles worker programs of the tests in one variant of the build, stripped as the package's own are. */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import {
  analyse,
  buildFlags,
  describeRefusals,
  kernelFiles,
  seamFile,
  stripPlugin,
  type VARIANTS,
} from "../../src/strip/index.ts";

type Variant = (typeof VARIANTS)[number];

const root = fileURLToPath(new URL("../../", import.meta.url));
const programs = join(root, "test/race/workers");
/** Folders that toys build on; the emulated machine is not among them. */
const USED = ["src/arena/", "src/sync/", "src/trace/"].map((folder) => join(root, folder));

let folder: string | undefined;

/** Builds `test/race/workers/<name>.ts` and returns its URL. */
export async function buildToy(name: string, variant: Variant): Promise<URL> {
  folder ??= mkdtempSync(join(tmpdir(), "oomrace-toy-"));
  const made = folder;
  process.once("exit", () => rmSync(made, { recursive: true, force: true }));
  const entry = join(programs, `${name}.ts`);
  const kernel = kernelFiles(root).filter(({ path }) => USED.some((place) => path.startsWith(place)));
  const own = [join(programs, "toy.ts"), entry].map((path) => ({ path, text: readFileSync(path, "utf8") }));
  const analysis = await analyse([...kernel, ...own], { seam: seamFile(root) });
  if (analysis.refusals.length > 0) throw new Error(describeRefusals(analysis.refusals));
  const outfile = join(folder, `${name}-${variant}.mjs`);
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20.19",
    minifySyntax: true,
    sourcemap: "inline",
    define: buildFlags(variant),
    plugins: [stripPlugin(analysis, variant)],
    logLevel: "warning",
  });
  return pathToFileURL(outfile);
}
