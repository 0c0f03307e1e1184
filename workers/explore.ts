/** Thread entry of one job of an exploration, for piscina. */

export { searchChunk as default } from "../src/run/explore-job.ts";
