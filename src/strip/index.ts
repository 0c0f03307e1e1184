/** What the build script needs of the stripping step. */

export { codeHash } from "./code-hash.ts";
export { keepConstants } from "./keep-const.ts";
export { kernelFiles, seamFile } from "./kernel-files.ts";
export { stripPlugin } from "./plugin.ts";
export { analyse, describeRefusals } from "./strip.ts";
export { buildFlags, VARIANTS } from "./variants.ts";
