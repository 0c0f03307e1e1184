/** Shorter names for the words of one execution: no object is named where no other could be meant. */

/** By long name. */
export type Names = ReadonlyMap<string, string>;

/** "mms[0].mmapLock[1]": an object, and a field in it. */
const IN_OBJECT = /^(\w+\[\d+\])\.(.+)$/;

/** "mmUsers" for "mms[0].mmUsers" where no other object with that field is touched. Names of other forms stay. */
export function namesIn(steps: readonly { readonly name: string }[]): Names {
  const objects = new Map<string, Set<string>>();
  const names = new Set(steps.map(({ name }) => name));
  for (const name of names) {
    const [, object = "", field = ""] = IN_OBJECT.exec(name) ?? [];
    if (field === "") continue;
    const key = wholeField(field);
    objects.set(key, (objects.get(key) ?? new Set()).add(object));
  }
  return new Map([...names].map((name) => [name, shorter(name, objects)]));
}

function shorter(name: string, objects: ReadonlyMap<string, ReadonlySet<string>>): string {
  const field = IN_OBJECT.exec(name)?.[2];
  return field !== undefined && objects.get(wholeField(field))?.size === 1 ? field : name;
}

/** The field that a word is part of: "mms[0].mmapLock" of "mms[0].mmapLock[1]". */
export function wholeOf(name: string): string {
  const [, object, field] = IN_OBJECT.exec(name) ?? [];
  return field === undefined ? name : `${object}.${wholeField(field)}`;
}

function wholeField(field: string): string {
  return field.replace(/\[\d+\]$/, "");
}

/** A lock as the kernel spells it: "mmap_lock" for "mms[0].mmapLock". */
export function lockName(lock: string, names: Names): string {
  const word = [...names.keys()].find((name) => wholeOf(name) === lock) ?? lock;
  const short = names.get(word) ?? lock;
  if (!IN_OBJECT.test(word)) return short;
  // So many things have a lock of that name.
  if (short === "lock") return lock;
  return wholeField(short).replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
