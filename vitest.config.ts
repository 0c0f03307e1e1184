import { defineConfig } from "vitest/config";

/**
 * Tests run the unstripped source with every check on. Stripped, stress and forced builds are
 * reached through `dist/`, which `npm ci` (prepare) or `npm run build` makes.
 */
export default defineConfig({
  define: { STEPPED: "true", GATED: "false", CHECKED: "true", CODE_HASH: '"unbuilt source"' },
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000,
    pool: "forks",
    maxWorkers: 2,
    coverage: { include: ["src/**/*.ts"], reporter: ["text-summary", "html"] },
  },
});
