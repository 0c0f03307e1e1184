/** Worker entry of the toy kernel: what `workers/cpu.ts` is to the real one. */

import { serveCpu } from "../../../src/run/cpu-server.ts";
import { toyKernel } from "./toy.ts";

serveCpu(toyKernel);
