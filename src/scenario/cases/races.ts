/**
 * Victim and reaper under each protocol, in either order, alone and with a bystander who drops the last mm_users: not to
 * find one bug, but for what can be said of all interleavings (`npm run proofs`).
 */

import { PROTOCOLS } from "../../oom/protocols/index.ts";
import type { Case } from "../case.ts";
import { lookedAt, skippedTooEarly } from "./b1.ts";
import { type RaceCase, raceCase } from "./race-case.ts";

const ORDERS = ["forward", "reverse"] as const;

/** Who is there beside the victim and the reaper's kthread, by the last part of the id. */
const MACHINES: readonly { readonly name: string; readonly title: string; readonly others?: RaceCase["others"] }[] = [
  { name: "", title: "victim and reaper" },
  {
    name: "bystander",
    title: "victim, reaper, and a bystander who lets go of the mm",
    others: (mm) => [{ role: "dropsMm", params: { mm }, title: "/proc reader" }],
  },
];

function raceOf(protocol: string, order: string, { name, title, others }: (typeof MACHINES)[number]): Case {
  const variant = raceCase({
    protocol,
    order,
    label: `reaper walks ${order}`,
    reaper: "kthread",
    watch: skippedTooEarly,
    watchedWords: lookedAt,
    ...(others && { others }),
  });
  const id = [`race:${protocol}`, order, ...(name === "" ? [] : [name])].join("/");
  return { id, title: `${title}, ${order}`, broken: variant, fixed: variant };
}

/** By machine, protocol, order: the order of the table of proofs. */
export const RACE_CASES: readonly Case[] = MACHINES.flatMap((machine) =>
  PROTOCOLS.flatMap(({ name }) => ORDERS.map((order) => raceOf(name, order, machine))),
);
