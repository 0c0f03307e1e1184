/** Help pages: what a command does, its options in groups, examples, exit codes. */

import type { Command, Help } from "commander";
import { assert } from "../base/assert.ts";
import { EXIT_MEANINGS } from "./exit-code.ts";

export interface HelpPage {
  /** Title of each group and the long flags in it; a flag in no group comes last, under "Other". */
  readonly groups: Readonly<Record<string, readonly string[]>>;
  /** Command lines, and what each does. */
  readonly examples: readonly (readonly [line: string, what: string])[];
  readonly exitCodes: readonly number[];
}

const pages = new WeakMap<Command, HelpPage>();

/** Gives a command its page. Every flag that the page names must exist. */
export function setHelpPage(command: Command, page: HelpPage): void {
  const flags = command.options.map(({ long }) => long);
  for (const flag of Object.values(page.groups).flat()) {
    assert(flags.includes(flag), `setHelpPage: ${command.name()} has no option ${flag}`);
  }
  pages.set(command, page);
}

/** The whole text, ending in a newline; for commander's `configureHelp`. */
export function formatHelp(command: Command, help: Help): string {
  const width = help.helpWidth ?? 80;
  const page = pages.get(command) ?? { groups: {}, examples: [], exitCodes: [] };
  const sections = [
    `Usage: ${help.commandUsage(command)}`,
    help.boxWrap(help.commandDescription(command), width),
    section("Commands", commandItems(command, help)),
    ...optionSections(command, help, page),
    section("Examples", exampleItems(page)),
    section("Exit codes", exitCodeItems(help, page)),
  ];
  return `${sections.filter((text) => text !== "").join("\n\n")}\n`;
}

function section(title: string, items: readonly string[]): string {
  return items.length === 0 ? "" : `${title}:\n${items.join("\n")}`;
}

function commandItems(command: Command, help: Help): string[] {
  const termWidth = help.padWidth(command, help);
  return help
    .visibleCommands(command)
    .map((one) => help.formatItem(help.subcommandTerm(one), termWidth, help.subcommandDescription(one), help));
}

function optionSections(command: Command, help: Help, { groups }: HelpPage): string[] {
  const termWidth = help.padWidth(command, help);
  const options = help.visibleOptions(command);
  const grouped = Object.values(groups).flat();
  const rest = options.flatMap(({ long }) => (long === undefined || grouped.includes(long) ? [] : [long]));
  const titled = Object.entries({ ...groups, [grouped.length === 0 ? "Options" : "Other"]: rest });
  return titled.map(([title, flags]) => {
    const members = flags.flatMap((flag) => options.filter(({ long }) => long === flag));
    return section(
      title,
      members.map((option) =>
        help.formatItem(help.optionTerm(option), termWidth, help.optionDescription(option), help),
      ),
    );
  });
}

/** Each line with what it does above it: lines to copy may be long. */
function exampleItems({ examples }: HelpPage): string[] {
  return examples.map(([line, what]) => `  ${what}:\n    ${line}`);
}

function exitCodeItems(help: Help, { exitCodes }: HelpPage): string[] {
  const termWidth = Math.max(...exitCodes.map((code) => String(code).length));
  return exitCodes.map((code) => help.formatItem(String(code), termWidth, EXIT_MEANINGS.get(code) ?? "", help));
}
