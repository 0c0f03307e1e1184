/** Error numbers as include/uapi/asm-generic/errno-base.h has them; functions return them negated. */

export const ESRCH = 3;
export const EINTR = 4;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EINVAL = 22;

/** Name of a result of `processMrelease`: "0" or "-ESRCH". */
export function errnoName(result: number): string {
  const names: Record<number, string> = { 0: "0", 3: "-ESRCH", 4: "-EINTR", 9: "-EBADF", 11: "-EAGAIN", 22: "-EINVAL" };
  return names[-result] ?? String(result);
}
