import { LOCK_KINDS } from "../../src/sync/index.ts";
import { lockConformance } from "./lock.ts";

for (const kind of LOCK_KINDS) lockConformance(kind);
