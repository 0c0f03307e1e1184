/** Error numbers by name. */

export * from "../base/errno.ts";

/** Name of a result of `processMrelease`: "0" or "-ESRCH". */
export function errnoName(result: number): string {
  const names: Record<number, string> = { 0: "0", 3: "-ESRCH", 4: "-EINTR", 9: "-EBADF", 11: "-EAGAIN", 22: "-EINVAL" };
  return names[-result] ?? String(result);
}
