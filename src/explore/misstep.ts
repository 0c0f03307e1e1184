/** A program that does not step as the engine needs it; in oomrace's own programs a fault of oomrace. */

import { InternalFault } from "../base/errors.ts";

export class Misstep extends InternalFault {}
