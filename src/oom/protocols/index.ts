/**
 * Teardown protocols by kernel version.
 *
 * v4.13: excluded by mm_users. hocko-v1: free under the write lock, `mm->mmap` == NULL says gone. hocko-v2: the same for OOM
 * victims only. v4.14: MMF_OOM_SKIP and an empty write-locked section. v4.17: the victim reaps itself first, then the
 * same. v5.17: all of exit_mmap under the write lock. v6.1: unmap under the read lock, free under the write lock.
 * v6.18: the same, reaper in reverse.
 */

import { hockoV1 } from "./hocko-v1.ts";
import { hockoV2 } from "./hocko-v2.ts";
import type { Protocol } from "./protocol.ts";
import { v413 } from "./v4.13.ts";
import { v414 } from "./v4.14.ts";
import { v417 } from "./v4.17.ts";
import { v517 } from "./v5.17.ts";
import { v61 } from "./v6.1.ts";
import { v618 } from "./v6.18.ts";

export const PROTOCOLS: readonly Protocol[] = [v413, hockoV1, hockoV2, v414, v417, v517, v61, v618];
