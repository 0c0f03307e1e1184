/** Lets esbuild bundle analysed sources in one variant. */

import type { OnLoadResult, Plugin } from "esbuild";
import { type Analysis, emit } from "./strip.ts";
import type { Variant } from "./variants.ts";

/**
 * Serves the emitted text of every analysed file. Other files are left to esbuild as host code, or, with `strict`,
 * are errors unless they belong to an installed package.
 */
export function stripPlugin(analysis: Analysis, variant: Variant, strict = false): Plugin {
  return {
    name: `oomrace-${variant}`,
    setup(build) {
      build.onLoad({ filter: /\.[mc]?[jt]s$/ }, ({ path }) => {
        const source = analysis.sources.get(path);
        if (!source) return strict && !INSTALLED.test(path) ? unanalysed(path) : undefined;
        const { code, map } = emit(source, variant);
        const inline = Buffer.from(map).toString("base64");
        return {
          contents: `${code}\n//# sourceMappingURL=data:application/json;base64,${inline}\n`,
          loader: "js",
        };
      });
    },
  };
}

const INSTALLED = /[\\/]node_modules[\\/]/;

function unanalysed(path: string): OnLoadResult {
  return {
    errors: [{ text: `${path}: reached in a way that hides it from the stripping step; import it by a relative path` }],
  };
}
