/** What a zap does about page-table locks that somebody holds. */

/** Wait for each table's lock, or leave tables whose lock is held. */
export const ZAP_WAIT = 0;
export const ZAP_TRY = 1;
