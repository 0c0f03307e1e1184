/** No program. */

export default { threads: 2 };
