import { LOCKS } from "../../src/sync/index.ts";
import { lockConformance } from "./lock.ts";

for (const kind of LOCKS) lockConformance(kind);
