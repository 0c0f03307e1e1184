import { test } from "vitest";
import { Explorer } from "../../../src/explore/explore.ts";
import { schedulers } from "../../../src/explore/schedulers/index.ts";
import { traceSchedule } from "../../../src/explore/step-trace.ts";
import { drawText } from "../../../src/report/diagram.ts";
import { programOf } from "../../../src/scenario/case.ts";
import { CASES } from "../../../src/scenario/cases/index.ts";
for (const c of CASES) test.each(Object.keys(schedulers))(`${c.id} %s`, (scheduler) => {
  for (const side of ["broken", "fixed"] as const) {
    const p = programOf(c[side]);
    const e = new Explorer(p, { scheduler, seconds: 4, executions: 20000, maxSteps: 20000 });
    while (!e.advance(100));
    const r = e.result();
    const { violation, ...rest } = r;
    console.log(c.id, side, scheduler, JSON.stringify(rest), violation && [violation.message, violation.execution, violation.foundSteps, violation.steps, violation.preemptions, violation.text.length].join(" | "));
    if (violation && scheduler === "pos") { const t = traceSchedule(e.subject, violation.schedule); console.log(drawText(t.steps, p.titles.length, { titles: p.titles, end: violation.message })); }
  }
}, 60000);
