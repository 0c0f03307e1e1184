/** Error numbers as include/uapi/asm-generic/errno-base.h has them; functions return them negated. */

export const ESRCH = 3;
export const EINTR = 4;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EINVAL = 22;
