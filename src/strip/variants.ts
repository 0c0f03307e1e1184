/** The four builds of the emulated kernel and their constants (table in `base/build-flags.d.ts`). */

export const VARIANTS = ["parallel", "stress", "forced", "interleaved"] as const;
export type Variant = (typeof VARIANTS)[number];

const FLAGS: Record<Variant, { STEPPED: boolean; GATED: boolean; CHECKED: boolean }> = {
  parallel: { STEPPED: false, GATED: false, CHECKED: false },
  stress: { STEPPED: false, GATED: false, CHECKED: true },
  forced: { STEPPED: false, GATED: true, CHECKED: true },
  interleaved: { STEPPED: true, GATED: false, CHECKED: true },
};

/** What esbuild's `define` wants for a variant. */
export function buildFlags(variant: Variant): Record<string, string> {
  return Object.fromEntries(Object.entries(FLAGS[variant]).map(([flag, on]) => [flag, String(on)]));
}
