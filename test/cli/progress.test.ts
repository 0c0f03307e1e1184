import { expect, test } from "vitest";
import { progressLine } from "../../src/cli/progress.ts";

/** A standard error of `columns`, and what was written to it. */
function stream(isTTY: boolean, columns = 40): { out: NodeJS.WriteStream; text: () => string } {
  let written = "";
  const write = (text: string): boolean => {
    written += text;
    return true;
  };
  return { out: { isTTY, columns, write } as unknown as NodeJS.WriteStream, text: () => written };
}

const START = "\r\u001b[K";

test("on a terminal each text replaces the last, cut to its width; clear leaves nothing", () => {
  const { out, text } = stream(true);
  const progress = progressLine(out);
  progress.show("pair 1 of 20");
  progress.show("x".repeat(99));
  progress.clear();
  expect(text()).toBe(`${START}pair 1 of 20${START}${"x".repeat(39)}${START}`);
});

test("in a pipe there is none", () => {
  const { out, text } = stream(false);
  const progress = progressLine(out);
  progress.show("pair 1 of 20");
  progress.clear();
  expect(text()).toBe("");
});
