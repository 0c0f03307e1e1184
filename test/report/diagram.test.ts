import { expect, test } from "vitest";
import { subjectOf } from "../../src/explore/program.ts";
import { scheduleOf } from "../../src/explore/schedule.ts";
import { traceSchedule } from "../../src/explore/step-trace.ts";
import { drawMermaid, drawText } from "../../src/report/diagram.ts";
import { communication } from "../../src/report/diagram-rows.ts";
import { bystanders, careless } from "../explore/toys.ts";

const lost = traceSchedule(subjectOf(careless(2, 1)), scheduleOf([0, 1, 0, 1])).steps;

test("a column per CPU, time downwards", () => {
  expect(drawText(lost, 2, { end: "one is lost" })).toBe(
    [
      "CPU 0               CPU 1",
      "------------------  ------------------",
      "addOne()",
      "  reads counter: 0",
      "                    addOne()",
      "                      reads counter: 0",
      "addOne()",
      "  counter = 1",
      "                    addOne()",
      "                      counter = 1",
      "=> one is lost",
    ].join("\n"),
  );
});

test("the same as a Mermaid sequence diagram", () => {
  expect(drawMermaid(lost, 2, { end: "one; is lost", titles: ["left", "right"] })).toBe(
    [
      "sequenceDiagram",
      "    participant C0 as left",
      "    participant C1 as right",
      "    Note over C0: addOne(): reads counter: 0",
      "    Note over C1: addOne(): reads counter: 0",
      "    Note over C0: addOne(): counter = 1",
      "    Note over C1: addOne(): counter = 1",
      "    Note over C0,C1: one#59; is lost",
    ].join("\n"),
  );
});

test("of a long execution only what the CPUs share, unless all is asked for", () => {
  const schedule = scheduleOf(Array.from({ length: 30 }, (_, step) => (step < 15 ? 0 : 1)));
  const { steps } = traceSchedule(subjectOf(bystanders(2, 15)), schedule);
  expect(communication(steps)).toEqual([steps[29]]);
  const drawn = drawText(steps, 2, { end: "nothing" });
  expect(drawn).toContain("(29 of 30 steps left out");
  expect(drawText(steps, 2, { end: "nothing", all: true }).match(/reads/g)).toHaveLength(30);
});
