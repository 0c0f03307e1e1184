/** Packs the package, installs it into an empty folder and runs its command there, as a newcomer would. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = mkdtempSync(join(tmpdir(), "oomrace-pack-"));
const onWindows = process.platform === "win32";

function run(command, args, cwd) {
  console.log(`$ ${command} ${args.join(" ")}`);
  execFileSync(command, args, { cwd, stdio: "inherit", shell: onWindows });
}

try {
  run("npm", ["pack", "--ignore-scripts", "--pack-destination", folder], root);
  const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz"));
  writeFileSync(join(folder, "package.json"), '{ "name": "empty", "private": true, "type": "module" }\n');
  run("npm", ["install", "--no-audit", "--no-fund", join(folder, tarball)], folder);
  run("npx", ["--no-install", "oomrace", "bench", "--quick"], folder);
  for (const entry of ["oomrace", "oomrace/kernel", "oomrace/sync"]) {
    run(
      "node",
      ["-e", `import('${entry}').then((m) => console.log('${entry}:', Object.keys(m).length, 'exports'))`],
      folder,
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
