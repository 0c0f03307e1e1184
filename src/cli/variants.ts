/** Protocols and orders on the command line: a name that `oomrace list` shows, or a file of the user's. */

import { UsageError } from "../base/errors.ts";
import { loadKernel } from "../run/kernel-variant.ts";
import { adoptFile } from "../run/user-variants.ts";
import { oneOf } from "./options.ts";

/** What stands in an option's value. */
export type VariantChoice =
  | { readonly kind: "listed"; readonly name: string }
  /** `member`: which of the file's variants; null where it has only one, or all are wanted. */
  | { readonly kind: "file"; readonly path: string; readonly member: string | null };

type Kind = "protocol" | "order";

/** "v6.1", "./mine.ts", or "./mine.ts#name" for one of several in a file. Throws UsageError for an unknown name. */
export function parseChoice(option: string, listed: readonly string[]): (text: string) => VariantChoice {
  const known = oneOf(option, listed, "a path to a module (./mine.ts)");
  return (text) => {
    const [, path = "", member = null] = /^(.*?\.[cm]?[jt]s)(?:#(.+))?$/.exec(text) ?? [];
    if (path !== "") return { kind: "file", path, member };
    if (/[/\\]/.test(text)) return { kind: "file", path: text, member: null };
    return { kind: "listed", name: known(text) };
  };
}

/** Several of them, separated by commas. */
export function parseChoices(option: string, listed: readonly string[]): (text: string) => VariantChoice[] {
  const parse = parseChoice(option, listed);
  return (text) => text.split(",").map((one) => parse(one.trim()));
}

/** Choices turned into names; `files` are the modules that bring them. */
export interface Variants {
  readonly protocol: string;
  readonly orders: readonly string[];
  readonly files: readonly string[];
}

/** Loads the files among the choices into the measured kernel. Throws UsageError when one is unusable. */
export async function resolveVariants(protocol: VariantChoice, orders: readonly VariantChoice[]): Promise<Variants> {
  const files = [protocol, ...orders].flatMap((choice) => (choice.kind === "file" ? [choice.path] : []));
  const protocolName = await oneName("protocol", protocol);
  const orderNames: string[] = [];
  for (const order of orders) orderNames.push(...(await namesOf("order", order)));
  return { protocol: protocolName, orders: [...new Set(orderNames)], files: [...new Set(files)] };
}

async function oneName(kind: Kind, choice: VariantChoice): Promise<string> {
  const names = await namesOf(kind, choice);
  const [first = "", ...more] = names;
  if (choice.kind === "file" && more.length > 0) {
    throw new UsageError(
      `--${kind} ${choice.path}: has ${names.join(", ")}; expected one, as in ${choice.path}#${first}`,
    );
  }
  return first;
}

/** The names behind a choice. Throws UsageError when its file is unusable or has none. */
export async function namesOf(kind: Kind, choice: VariantChoice): Promise<readonly string[]> {
  if (choice.kind === "listed") return [choice.name];
  const { path, member } = choice;
  const { protocols, orders } = await adoptFile(await loadKernel("parallel"), "parallel", path);
  const names = kind === "protocol" ? protocols : orders;
  if (names.length === 0) {
    throw new UsageError(`--${kind} ${path}: exports no ${kind}, expected an export "${kind}" or "${kind}s"`);
  }
  if (member === null) return names;
  if (!names.includes(member)) {
    throw new UsageError(`--${kind} ${path}#${member}: no such ${kind}, expected one of ${names.join(", ")}`);
  }
  return [member];
}
