/**
 * Finds members of TypeScript interfaces and object types whose calls are generators. esbuild erases types, and
 * a parser for them is a compiler; what is needed here is only "does this member return `Steps<...>`".
 */

export interface TypeMember {
  readonly name: string;
  /** Character of the text at which the name starts. */
  readonly offset: number;
  readonly generator: boolean;
}

const REGEX_LITERAL = /\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/y;
const AFTER_OPERATOR = /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\breturn|\btypeof)\s*$/;

/** The text with comments, and strings unless `keepStrings`, turned into blanks; every character keeps its place. */
export function maskText(text: string, keepStrings = false): string {
  let masked = "";
  let at = 0;
  const skip = (end: number, blank: boolean): void => {
    const part = text.slice(at, end);
    masked += blank ? part.replace(/[^\n]/g, " ") : part;
    at = end;
  };
  while (at < text.length) {
    const two = text.slice(at, at + 2);
    const char = two[0] as string;
    if (two === "//") skip(indexOrEnd(text, "\n", at), true);
    else if (two === "/*") skip(indexOrEnd(text, "*/", at + 2, 2), true);
    else if (char === '"' || char === "'" || char === "`") skip(stringEnd(text, at), !keepStrings);
    else if (char === "/" && AFTER_OPERATOR.test(masked.slice(-80))) {
      REGEX_LITERAL.lastIndex = at;
      const literal = REGEX_LITERAL.exec(text);
      skip(at + (literal?.[0].length ?? 1), true);
    } else skip(at + 1, false);
  }
  return masked;
}

function indexOrEnd(text: string, what: string, from: number, plus = 0): number {
  const found = text.indexOf(what, from);
  return found < 0 ? text.length : found + plus;
}

/** Where the string that starts at `at` ends. Quotes end with their line at the latest. */
function stringEnd(text: string, at: number): number {
  const quote = text[at];
  for (let i = at + 1; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === quote) return i + 1;
    else if (text[i] === "\n" && quote !== "`") return i;
  }
  return text.length;
}

/** Names of function types that return steps: `type Program = (cpu: Cpu) => Steps<void>`. */
export function stepTypes(text: string): string[] {
  const masked = maskText(text);
  const aliases = masked.matchAll(/\btype\s+(\w+)[^=;{]*=\s*([^;{]*=>\s*Steps\s*<)/g);
  return [...aliases].map((match) => match[1] as string);
}

/** Function members of every interface and object type; `aliases` are the names that `stepTypes` found. */
export function typeMembers(text: string, aliases: ReadonlySet<string>): TypeMember[] {
  const masked = maskText(text);
  const members: TypeMember[] = [];
  for (const match of masked.matchAll(/\b(?:interface\s+\w+|type\s+\w[^=;{]*=)/g)) {
    const open = bodyStart(masked, (match.index as number) + match[0].length);
    if (open !== undefined) scanBody(masked, open, aliases, members);
  }
  return members;
}

/** The brace that opens an object type's body, not one inside type parameters; none where a statement ends first. */
function bodyStart(text: string, from: number): number | undefined {
  for (let i = from; i < text.length && text[i] !== ";"; i++) {
    if (text[i] === "{" && !insideAngles(text.slice(from, i))) return i;
  }
  return undefined;
}

/** Reads the members between the brace at `open` and its partner. */
function scanBody(text: string, open: number, aliases: ReadonlySet<string>, members: TypeMember[]): void {
  let at = open + 1;
  while (at < text.length && text[at] !== "}") {
    const end = memberEnd(text, at);
    const member = readMember(text.slice(at, end), at, aliases);
    if (member) members.push(member);
    at = end + (text[end] === "}" ? 0 : 1);
  }
}

/** End of the member that starts at `at`: `;`, `,` or the closing brace, or a line end behind a complete member. */
function memberEnd(text: string, at: number): number {
  let depth = 0;
  for (let i = at; i < text.length; i++) {
    const char = text[i] as string;
    if ("({[".includes(char)) depth++;
    else if (")}]".includes(char)) {
      if (depth === 0) return i;
      depth--;
    } else if (depth === 0 && (char === ";" || char === ",")) {
      if (char === ";" || !insideAngles(text.slice(at, i))) return i;
    } else if (depth === 0 && char === "\n" && endsMember(text.slice(at, i), text.slice(i + 1, i + 200))) return i;
  }
  return text.length;
}

function insideAngles(part: string): boolean {
  const plain = part.replaceAll("=>", "");
  return plain.split("<").length > plain.split(">").length;
}

/** Members may end with their line alone, where neither side of the line break asks for more. */
function endsMember(before: string, after: string): boolean {
  return /[\w)\]}>]\s*$/.test(before) && !insideAngles(before) && !/^\s*[|&=:?.)<>]/.test(after);
}

const STEPS = /^Steps\s*</;
const MEMBER = /^\s*(?:readonly\s+)?(#?[A-Za-z_$][\w$]*)\s*\??\s*([\s\S]*)$/;

function readMember(part: string, at: number, aliases: ReadonlySet<string>): TypeMember | undefined {
  const match = MEMBER.exec(part);
  if (!match) return undefined;
  const [, name, rest] = match as unknown as [string, string, string];
  const offset = at + part.indexOf(name, part.search(/\S/) + (/^\s*readonly\s/.test(part) ? "readonly".length : 0));
  if (rest.startsWith("(") || rest.startsWith("<")) {
    const result = resultType(rest);
    return result === undefined ? undefined : { name, offset, generator: STEPS.test(result) };
  }
  if (!rest.startsWith(":")) return undefined;
  const type = rest.slice(1).trim();
  const named = /^\(?\s*(\w+)\b/.exec(type)?.[1] ?? "";
  if (aliases.has(named)) return { name, offset, generator: true };
  return type.includes("=>") ? { name, offset, generator: /=>\s*Steps\s*</.test(type) } : undefined;
}

/** R of a method signature `<T>(...): R`; undefined where it declares none. */
function resultType(signature: string): string | undefined {
  let depth = 0;
  for (let i = signature.indexOf("("); i < signature.length; i++) {
    if (signature[i] === "(") depth++;
    else if (signature[i] === ")" && --depth === 0) return /^\)\s*:\s*([\s\S]*)$/.exec(signature.slice(i))?.[1];
  }
  return undefined;
}
