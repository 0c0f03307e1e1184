/** The explorer's lock cases take every branch of every lock, both ways. */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { expect, test } from "vitest";
import { MAX_CPUS } from "../../src/explore/schedule.ts";
import { SPIN_ROUNDS } from "../../src/sync/spinlock.ts";
import { type Condition, PROBES, probed } from "./branch-probe.ts";
import { unluckyScheduler } from "./unlucky-scheduler.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const SYNC = join(ROOT, "src/sync");
/** Each reaches branches that another one seldom does. */
const SCHEDULERS = ["random", "pos", "pct"];
/** Executions of a case by a scheduler in a round, and rounds, each with a seed of its own. */
const EXECUTIONS = 200;
const ROUNDS = 12;
/** Who spins on these gives up after so many changes of the word, which no luck brings about. */
const SPINNING = ["spinlock", "rwlock", "mutex"];

const sources = readdirSync(SYNC, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => ({ path: join(SYNC, name), text: readFileSync(join(SYNC, name), "utf8") }));

/** Locks are generators, apart from the list that their waiters stand on. What is broken on purpose is none. */
function isLock({ path, text }: { readonly path: string; readonly text: string }): boolean {
  if (/broken-locks|busted-lock|standalone/.test(path)) return false;
  return /function\*/.test(text) || path.endsWith("wait-list.ts") || path.endsWith("rwsem/state.ts");
}

/** Functions that never return: `: never`. */
const NEVER = sources.flatMap(({ text }) =>
  [...text.matchAll(/function (\w+)\([^)]*\): never/g)].map(([, name]) => name as string),
);

/** Misuse: the condition only leads to a function that stops the run. */
function isMisuse({ then }: Condition): boolean {
  return NEVER.some((name) => then.startsWith(`${name}(`)) || then.startsWith("throw ");
}

/** A limit on CPUs that is higher than an explored program can have CPUs. */
function isOutOfReach({ text }: Condition, outcome: boolean): boolean {
  const limit = /< (MAX_[A-Z_]+)$/.exec(text)?.[1];
  if (limit === undefined || outcome) return false;
  const value = sources.map((source) => new RegExp(`${limit} = (\\d+)`).exec(source.text)?.[1]).find((found) => found);
  return Number(value) > MAX_CPUS;
}

/** Bundles the explorer and the cases, with probes in the locks. */
async function buildProbed(outfile: string): Promise<Condition[]> {
  const conditions: Condition[] = [];
  const locks = new Set(sources.filter(isLock).map(({ path }) => path));
  await build({
    stdin: {
      contents: `
        export { explore } from "./src/explore/explore.ts";
        export { Executor } from "./src/explore/executor.ts";
        export { subjectOf } from "./src/explore/program.ts";
        export { programOf } from "./src/scenario/case.ts";
        export { lockCase } from "./src/scenario/cases/lock-case.ts";
        export { LOCK_CASES } from "./src/scenario/cases/locks.ts";`,
      resolveDir: ROOT,
    },
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    define: { STEPPED: "true", GATED: "false", CHECKED: "true", CODE_HASH: '"probed"' },
    plugins: [
      {
        name: "probes",
        setup: ({ onLoad }) =>
          onLoad({ filter: /src\/sync\/.*\.ts$/ }, ({ path }) =>
            locks.has(path)
              ? { contents: probed(path, relative(ROOT, path), conditions, ["assert", ...NEVER]), loader: "js" }
              : undefined,
          ),
      },
    ],
  });
  return conditions;
}

/** Outcomes that no execution had. */
function missedOf(conditions: readonly Condition[], counts: Float64Array): string[] {
  return conditions.flatMap((condition, i) =>
    [true, false]
      .filter((outcome) => counts[2 * i + (outcome ? 0 : 1)] === 0)
      .filter((outcome) => !(outcome && isMisuse(condition)) && !isOutOfReach(condition, outcome))
      .map((outcome) => `${condition.place}: never ${outcome}: ${condition.text}`),
  );
}

test("every condition of every lock is true in some execution, and false in another", async () => {
  const folder = mkdtempSync(join(tmpdir(), "oomrace-probed-"));
  try {
    const outfile = join(folder, "probed.mjs");
    const conditions = await buildProbed(outfile);
    const counts = new Float64Array(2 * conditions.length);
    (globalThis as Record<string, unknown>)[PROBES] = counts;
    const { explore, Executor, LOCK_CASES, lockCase, programOf, subjectOf } = await import(pathToFileURL(outfile).href);
    for (const lock of SPINNING) {
      const plans = [Array(2 * SPIN_ROUNDS).fill("write"), ["write"]];
      const executor = new Executor(subjectOf(programOf(lockCase({ lock, plans }))));
      expect(executor.execute(unluckyScheduler)?.message, `${lock} under unlucky`).toBeUndefined();
    }
    const missed = (): string[] => missedOf(conditions, counts);
    for (let seed = 1; seed <= ROUNDS && (seed === 1 || missed().length > 0); seed++) {
      for (const { id, broken } of LOCK_CASES) {
        for (const scheduler of SCHEDULERS) {
          const { violation } = explore(programOf(broken), { scheduler, seed, executions: EXECUTIONS });
          expect(violation?.message, `${id} under ${scheduler}, seed ${seed}`).toBeUndefined();
        }
      }
    }
    expect(missed()).toEqual([]);
    expect(conditions.length).toBeGreaterThan(100);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
