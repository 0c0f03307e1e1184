/** Where the built files are, for code that runs from `dist/` and for tests that run from `src/`. */

/** URL of a file in `dist/`: "kernel-parallel.js", "worker-stress.js", "generators.json". */
export function distUrl(file: string): URL {
  const here = import.meta.url;
  return new URL(here.endsWith(".ts") ? `../../dist/${file}` : `./${file}`, here);
}
