/** Reaching the built kernels: each variant is a module of its own, loaded side by side where needed. */

import { distUrl } from "../strip/dist.ts";

export type Kernel = typeof import("../kernel.ts");
export type Variant = "parallel" | "stress" | "forced" | "interleaved";

/** The emulated kernel of a variant, from `dist/`. */
export async function loadKernel(variant: Variant): Promise<Kernel> {
  return (await import(distUrl(`kernel-${variant}.js`).href)) as Kernel;
}

/** The worker entry of a variant that runs on threads. */
export function workerUrl(variant: Exclude<Variant, "interleaved">): URL {
  return distUrl(`worker-${variant}.js`);
}
