/** The maple tree as the rest of the emulated kernel sees it. */

export { mapleCheck } from "./check.ts";
export { masEmptyArea, masEmptyAreaRev, NO_EMPTY_AREA } from "./empty-area.ts";
export {
  MTREE_EXISTS,
  MTREE_NO_NODES,
  MTREE_OK,
  mtreeDestroy,
  mtreeErase,
  mtreeInit,
  mtreeInsert,
  mtreeLoad,
  mtreeStore,
} from "./maple-tree.ts";
export { MaState, masFind, masFindRev, masIndex, masInit, masLast, masNext, masPrev, masSet } from "./mas.ts";
export { MapleNode, MapleTree, mapleNodesFor } from "./node.ts";
