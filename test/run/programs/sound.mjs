/** As `unlucky`, and nothing is wrong with what it does. */

import program from "./unlucky.mjs";

export default { ...program, check: () => {} };
