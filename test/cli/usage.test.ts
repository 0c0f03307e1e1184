/** Help, and what a person can do wrong: one line on standard error, exit code 2. */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Oomrace, oomrace } from "./oomrace.ts";
import { UserFiles } from "./user-files.ts";

let files: UserFiles;
beforeAll(() => {
  files = new UserFiles();
});
afterAll(() => files.remove());

describe.concurrent("help", () => {
  test("no arguments: the commands, with examples and exit codes", async () => {
    const { code, stdout, stderr } = await oomrace();
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^Usage: oomrace \[options\] \[command\]\n/);
    for (const command of ["bench", "list", "run", "stress"])
      expect(stdout).toMatch(new RegExp(`^ {2}${command} `, "m"));
    expect(stdout).toContain("Examples:\n");
    expect(stdout).toMatch(/^ {2}130 +interrupted/m);
  });

  test("bench: options in groups, what each takes, examples and exit codes", async () => {
    const { code, stdout, stderr } = await oomrace("bench", "--help");
    expect([code, stderr]).toEqual([0, ""]);
    const titles = stdout.split("\n").filter((line) => /^\S.*:$/.test(line));
    expect(titles).toEqual([
      "The victim:",
      "The race:",
      "Under memory pressure:",
      "The measuring:",
      "Other:",
      "Examples:",
      "Exit codes:",
    ]);
    const flags = [...stdout.matchAll(/^ {2}(?:-h, )?--([a-z-]+)/gm)].map((match) => match[1]);
    expect(flags.slice().sort().join(" ")).toBe(
      "allocators frames help hz json kills layout layouts-only lock-granularity needless order pages pairs protocol " +
        "quick reaper reaper-speed reapers seed smaps victim-speed victims vmas",
    );
    expect(stdout.replaceAll(/\s+/g, " ")).toContain(
      "teardown protocol: v4.13, hocko-v1, hocko-v2, v4.14, v4.17, v5.17, v6.1, v6.18, or a file (default: v6.1)",
    );
    for (const exit of ["0", "1", "2", "3", "130"]) expect(stdout).toMatch(new RegExp(`^ {2}${exit} +\\w`, "m"));
  });

  test.each(["list", "record", "run", "stress"])("%s", async (command) => {
    const { code, stdout } = await oomrace(command, "--help");
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^Usage: oomrace ${command} `));
    expect(stdout).toContain("Exit codes:\n");
  });

  test("--version", async () => {
    expect((await oomrace("--version")).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe.concurrent("one line says what was expected", () => {
  test.each([
    [
      "an unknown command",
      "bensh",
      /^unknown command 'bensh'.*: expected one of bench, explore, list, record, replay, run, stress$/,
    ],
    ["an unknown option", "bench --speed", /^unknown option '--speed'.*`oomrace bench --help` lists$/],
    ["a missing value", "bench --pages", /^option '--pages <list>' argument missing: expected a value$/],
    ["an argument too many", "list all", /^too many arguments for 'list'\. Expected 0/],
    ["no number", "bench --pages 2^x", /^--pages 2\^x: expected a whole number from 1 on$/],
    ["an unknown protocol", "bench --protocol v9", /^--protocol v9: expected one of v4\.13, .*v6\.18, or a path/],
    ["an unknown order", "bench --order up", /^--order up: expected one of forward, reverse, .*, or a path/],
    ["no such smaps", "bench --smaps /no/such/file", /^\/no\/such\/file: cannot be read \(ENOENT\), expected/],
    ["a text that is no smaps", "bench --smaps package.json", /^package\.json:1: .*expected/],
    ["two victims", "bench --smaps self --layout self", /^--layout with --smaps: expected only one, the victim is/],
    ["an order for nobody", "bench --reaper none --order reverse", /^--order with --reaper none: expected no order/],
    [
      "reapers of a kind that is one",
      "bench --reaper kthread --reapers 2",
      /^--reapers 2 with --reaper kthread: expected/,
    ],
    ["a CPU faster than full speed", "run --victim-speed 1.5", /^--victim-speed 1\.5: expected a number above 0, at/],
    ["a size for a real process", "bench --layout self --pages 9", /^layout self: --pages 9 given, expected none/],
    ["more VMAs than pages", "bench --layout vmas-2m --pages 5", /^layout vmas-2m: 5 pages in 4096 VMAs, expected/],
    ["a file that cannot be made", "bench --json /no/such/dir/x", /^--json \/no\/.*cannot be written \(ENOENT\), expe/],
    ["no such module", "bench --protocol ./absent.ts", /^absent\.ts: no such file, expected a module$/],
    [
      "no such member",
      "bench --order examples/protocol/even-odd.ts#odd",
      /#odd: no such order, expected one of even-odd$/,
    ],
    [
      "a module without a protocol",
      "bench --protocol examples/protocol/even-odd.ts",
      /: exports no protocol, expected/,
    ],
  ])("%s", async (_what, line, expected) => {
    const { code, stdout, stderr } = await oomrace(...line.split(" "));
    expect(stderr).toMatch(/^oomrace: [^\n]+\n$/);
    expect(stderr.slice("oomrace: ".length).trimEnd()).toMatch(expected);
    expect([code, stdout]).toEqual([2, ""]);
  });
});

describe.concurrent("a user's file", () => {
  const kernel = 'import { spinLock, findProtocol, type Cpu } from "oomrace/kernel";\n';
  test.each([
    [
      "that forgets a yield*",
      `${kernel}export function* f(cpu: Cpu) {\n  spinLock(cpu, 1, 0);\n}`,
      /mine\.ts:3:3: generator of spinLock\(\) never runs/,
    ],
    [
      "with a broken field",
      `${kernel}export const protocol = { ...findProtocol("v6.1"), name: "mine", reaperDelayUs: "2 s" };`,
      /mine\.ts: protocol "mine": reaperDelayUs is "2 s", expected microseconds, 0 or more/,
    ],
    [
      "with a name that is taken",
      `${kernel}export const protocol = { ...findProtocol("v6.1") };`,
      /mine\.ts: protocol "v6\.1": this name is taken, expected another/,
    ],
    [
      "with several protocols",
      `${kernel}export const protocols = ["a", "b"].map((name) => ({ ...findProtocol("v6.1"), name }));`,
      /--protocol .*mine\.ts: has a, b; expected one, as in .*mine\.ts#a/,
    ],
  ])("%s is refused", async (what, text, expected) => {
    const folder = new UserFiles();
    const { code, stdout, stderr } = await oomrace("bench", "--protocol", folder.write("mine.ts", text));
    folder.remove();
    expect(stderr, what).toMatch(expected);
    expect(stderr).toMatch(/^oomrace: [^\n]+\n$/);
    expect([code, stdout]).toEqual([2, ""]);
  });
});

test("a closed pipe is no error", async () => {
  const run = new Oomrace(["list"]);
  run.child.stdout?.destroy();
  expect(await run.ended).toEqual({ code: 0, stdout: "", stderr: "" });
});
