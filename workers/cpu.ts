/** Thread entry of one emulated CPU: the kernel of this build, served to the main thread. */

import { adopt, attachCpu, roles } from "../src/kernel.ts";
import { serveCpu } from "../src/run/cpu-server.ts";

serveCpu({ attachCpu, roles, adopt });
