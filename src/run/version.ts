/** The version in package.json. */

import { readFileSync } from "node:fs";
import { distUrl } from "../strip/dist.ts";

export function packageVersion(): string {
  const text = readFileSync(new URL("../package.json", distUrl("cli.js")), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
