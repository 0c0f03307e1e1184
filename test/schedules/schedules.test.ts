/**
 * Found races, kept. Each is looked for anew, replayed step by step, and replayed on real threads.
 *
 * A schedule counts scheduling points, so a change of the emulated kernel may move it. When the search below still
 * finds the race, freeze it again: `npm run build && OOMRACE_FREEZE=1 npx vitest run test/schedules`.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Executor } from "../../src/explore/executor.ts";
import { describeOutcome, type Outcome } from "../../src/explore/outcome.ts";
import { subjectOf } from "../../src/explore/program.ts";
import { fixedScheduler } from "../../src/explore/schedulers/fixed.ts";
import { shrink } from "../../src/explore/shrink.ts";
import { readTurns, writeTurns } from "../../src/explore/turns.ts";
import { ForcedCrew } from "../../src/run/forced.ts";
import { type Kernel, loadKernel, workerUrl } from "../../src/run/kernel-variant.ts";
import { burstScheduler } from "../oom/lab.ts";
import { FOLDER, frozenFiles, moduleUrls, readFrozen, Stepper, stageFrozen } from "./frozen.ts";

const SEEDS = 1000;
const freezing = process.env.OOMRACE_FREEZE === "1";
let kernel: Kernel;

beforeAll(async () => {
  kernel = await loadKernel("interleaved");
});

it("every build numbers the lock classes alike, so that one can run what another staged", async () => {
  const builds = await Promise.all((["parallel", "stress", "forced"] as const).map(loadKernel));
  for (const build of builds) expect(build.lockClassNames()).toEqual(kernel.lockClassNames());
});

describe.each(frozenFiles().map((file) => ({ file, frozen: readFrozen(file) })))(
  "$frozen.title",
  ({ file, frozen }) => {
    let stepper: Stepper;
    let crew: ForcedCrew;

    beforeAll(async () => {
      stepper = await Stepper.open(kernel, frozen);
      const modules = await moduleUrls(frozen, "forced");
      crew = new ForcedCrew({ worker: workerUrl("forced"), cpus: frozen.roles.length, modules });
    });

    afterAll(() => crew.close());

    /** Runs seed after seed from the start barrier; a race that finishes must leave nothing behind. */
    function searcher(protocol: string): (seed: number) => Outcome {
      const stage = stageFrozen(kernel, frozen, protocol);
      const { words, map } = stage;
      const start = words.slice();
      const boot = kernel.cpuOf(words, map, 0, kernel.soloPort());
      return (seed) => {
        words.set(start);
        const outcome = stepper.run(stage, burstScheduler(seed));
        if (outcome.state !== "finished") return outcome;
        kernel.runToEnd(kernel.endRace(boot, 0));
        const [violation] = kernel.findViolations(words, map);
        return violation ? { ...outcome, state: "violation", cpu: -1, violation } : outcome;
      };
    }

    it("is found by its seed search", () => {
      const runSeed = searcher(frozen.protocol);
      for (let seed = 1; seed <= SEEDS; seed++) {
        const outcome = runSeed(seed);
        if (outcome.state === "finished") continue;
        expect(outcome.state, describeOutcome(outcome)).toBe("violation");
        if (outcome.state !== "violation") return;
        expect(outcome.violation.invariant).toBe("I1");
        if (freezing) freeze(outcome, seed);
        return;
      }
      expect.fail(`no violation in ${SEEDS} seeds`);
    });

    function freeze(found: Outcome, seed: number): void {
      const executor = new Executor(subjectOf(stepper.programOf(stageFrozen(kernel, frozen))));
      const whole = executor.measure(fixedScheduler(found.schedule));
      if (!whole) throw new Error("freeze: the violation did not come back");
      const { schedule } = shrink(executor, whole, { budget: 20_000 });
      const short = stepper.run(stageFrozen(kernel, frozen), fixedScheduler(schedule));
      if (short.state !== "violation") throw new Error("freeze: shrinking lost the violation");
      const fields = {
        foundBy: `burst scheduler, seed ${seed}; then shrunk`,
        breaks: short.violation.message.replace(/ \(object.*/, ""),
        cpu: short.cpu,
        schedule: writeTurns(short.schedule),
      };
      writeFileSync(join(FOLDER, file), `${JSON.stringify({ ...frozen, ...fields }, null, 2)}\n`);
    }

    it.each(frozen.safe)("does no harm in %s", (protocol) => {
      const runSeed = searcher(protocol);
      for (let seed = 1; seed <= SEEDS; seed++) {
        const outcome = runSeed(seed);
        expect(outcome.state, `seed ${seed}: ${describeOutcome(outcome)}`).toBe("finished");
      }
    });

    it("refutes a sentence of its protocol", () => {
      const { file: source, text } = frozen.contradicts;
      const header = readFileSync(join(FOLDER, "../..", source), "utf8").split("*/")[0] as string;
      expect(header.replace(/\s*\n \*\s*/g, " ")).toContain(text);
    });

    it("comes back step by step, and on real threads in the very same way", async () => {
      const schedule = readTurns(readFrozen(file).schedule);
      const { breaks, cpu } = readFrozen(file);
      const one = stageFrozen(kernel, frozen);
      const stepped = stepper.run(one, fixedScheduler(schedule));
      const how = describeOutcome(stepped);
      expect(stepped, how).toMatchObject({ state: "violation", cpu, steps: schedule.length });
      expect(how).toContain(breaks);

      const other = stageFrozen(kernel, frozen);
      const { map, sync, programs, words } = other;
      const arena = words.buffer as SharedArrayBuffer;
      const forced = await crew.run({ arena, machine: map.shape, programs, schedule, sync });
      expect(describeOutcome(forced)).toBe(how);
      const differs = one.words.findIndex((word, at) => word !== words[at]);
      expect(differs < 0 ? "same" : kernel.describeAddress(map.memory, differs)).toBe("same");
    });
  },
);
