/** docs/explorer.md keeps its word: its modules are explored by its commands, and print what it shows. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { oomrace, ROOT } from "./oomrace.ts";
import { UserFiles } from "./user-files.ts";

const page = readFileSync(join(ROOT, "docs/explorer.md"), "utf8");
const modules = [...page.matchAll(/```ts\n\/\/ (\S+)\n(.*?)```/gs)].map(([, name = "", text = ""]) => ({ name, text }));
const sessions = [...page.matchAll(/```text\n\$ oomrace (explore [^\n]+)\n(.*?)```/gs)].map(
  ([, command = "", output = ""]) => ({ command, output }),
);

let files: UserFiles;
beforeAll(() => {
  files = new UserFiles();
  for (const { name, text } of modules) files.write(name, text);
});
afterAll(() => files.remove());

/** Without what differs from run to run, from machine to machine and from version to version. */
function settled(text: string): string {
  return text
    .replaceAll(`${files.folder}/`, "./")
    .replaceAll(/ at (\.\/)?(?=\w+\.ts:\d)/g, " at ")
    .replaceAll(/\d+(\.\d+)? ([mu]?s|ns)\b/g, "TIME")
    .replaceAll(/\d+\.\d % of it/g, "SHARE of it")
    .replaceAll(/(replay \S+:)[\w-]+/g, "$1SCHEDULE");
}

test("it has programs, and sessions with each of them", () => {
  expect(modules.map(({ name }) => name)).toEqual(sessions.map(({ command }) => /\.\/(\S+)/.exec(command)?.[1]));
  expect(modules.length).toBeGreaterThan(2);
});

test.each(sessions)("$command", async ({ command, output }) => {
  const args = command.replace("./", `${files.folder}/`).split(" ");
  const { stdout, stderr } = await oomrace(...args);
  expect(stderr).toBe("");
  expect(settled(stdout)).toBe(settled(output));
});
