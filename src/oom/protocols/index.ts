/**
 * Teardown protocols by kernel version.
 *
 * v4.13: excluded by mm_users. v4.14: MMF_OOM_SKIP and an empty write-locked section. v6.1: unmap under the read lock,
 * free under the write lock. v6.18: the same, reaper in reverse.
 */

import type { Protocol } from "./protocol.ts";
import { v413 } from "./v4.13.ts";
import { v414 } from "./v4.14.ts";
import { v61 } from "./v6.1.ts";
import { v618 } from "./v6.18.ts";

export const PROTOCOLS: readonly Protocol[] = [v413, v414, v61, v618];
