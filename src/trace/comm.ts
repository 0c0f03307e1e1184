/** `task->comm`: a command name as words of the arena and of trace records. */

/** Bytes, the zero at the end included. */
export const TASK_COMM_LEN = 16;
/** The same in words: four characters to a word, lowest byte first. */
export const TASK_COMM_WORDS = TASK_COMM_LEN / 4;

/** The name whose words begin at `at`. */
export function commAt(words: ArrayLike<number>, at: number): string {
  let comm = "";
  for (let i = 0; i < TASK_COMM_LEN; i++) {
    const code = ((words[at + (i >> 2)] as number) >>> ((i & 3) * 8)) & 0xff;
    if (code === 0) break;
    comm += String.fromCharCode(code);
  }
  return comm;
}

/** Writes a name's words from `at` on, which are zero; characters past the fifteenth are left out. */
export function storeComm(words: Int32Array, at: number, comm: string): void {
  for (let i = 0; i < Math.min(comm.length, TASK_COMM_LEN - 1); i++) {
    words[at + (i >> 2)] = (words[at + (i >> 2)] as number) | (comm.charCodeAt(i) << ((i & 3) * 8));
  }
}

/** The words of the name at `at`, to be fields of a record. */
export function commWords(words: Int32Array, at: number): number[] {
  return Array.from(words.subarray(at, at + TASK_COMM_WORDS));
}
