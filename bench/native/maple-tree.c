/* Walking a maple tree up and down (src/mm/maple-tree/mas.ts, walk.ts, node.ts), under mmap_lock for reading. */

#include "twin.h"

static bool isLeaf(const Cpu *cpu, Addr node) { return load(cpu, node + MapleNode_level) == 0; }
static Addr nodeParent(const Cpu *cpu, Addr node) { return load(cpu, node + MapleNode_parent); }
static int32_t nodeParentSlot(const Cpu *cpu, Addr node) { return load(cpu, node + MapleNode_parentSlot); }
static int32_t nodeCount(const Cpu *cpu, Addr node) { return load(cpu, node + MapleNode_count); }
static Addr slotAt(const Cpu *cpu, Addr node, int32_t slot) { return load(cpu, node + MapleNode_slots + slot); }
static Vpn pivotAt(const Cpu *cpu, Addr node, int32_t slot) {
  return loadVpn(cpu, node + MapleNode_pivots + slot * VPN_WORDS);
}

/* --- walk.ts --- */

static int32_t findSlot(const Cpu *cpu, Addr node, Vpn index) {
  int32_t slot = 0;
  while (pivotAt(cpu, node, slot) < index) slot++;
  return slot;
}

static Addr findLeaf(const Cpu *cpu, Addr tree, Vpn index) {
  Addr node = load(cpu, tree + MapleTree_root);
  if (node == 0) return 0;
  while (!isLeaf(cpu, node)) node = slotAt(cpu, node, findSlot(cpu, node, index));
  return node;
}

static Vpn nodeFirst(const Cpu *cpu, Addr node) {
  for (Addr below = node;;) {
    Addr parent = nodeParent(cpu, below);
    if (parent == 0) return 0;
    int32_t slot = nodeParentSlot(cpu, below);
    if (slot > 0) return pivotAt(cpu, parent, slot - 1) + 1;
    below = parent;
  }
}

static Vpn slotFirst(const Cpu *cpu, Addr node, int32_t slot) {
  return slot > 0 ? pivotAt(cpu, node, slot - 1) + 1 : nodeFirst(cpu, node);
}

static Addr nextLeaf(const Cpu *cpu, Addr leaf) {
  for (Addr node = leaf;;) {
    Addr parent = nodeParent(cpu, node);
    if (parent == 0) return 0;
    int32_t slot = nodeParentSlot(cpu, node) + 1;
    if (slot < nodeCount(cpu, parent)) {
      Addr below = slotAt(cpu, parent, slot);
      while (!isLeaf(cpu, below)) below = slotAt(cpu, below, 0);
      return below;
    }
    node = parent;
  }
}

static Addr prevLeaf(const Cpu *cpu, Addr leaf) {
  for (Addr node = leaf;;) {
    Addr parent = nodeParent(cpu, node);
    if (parent == 0) return 0;
    int32_t slot = nodeParentSlot(cpu, node) - 1;
    if (slot >= 0) {
      Addr below = slotAt(cpu, parent, slot);
      while (!isLeaf(cpu, below)) below = slotAt(cpu, below, nodeCount(cpu, below) - 1);
      return below;
    }
    node = parent;
  }
}

/* --- mas.ts --- */

static void setPlace(const Cpu *cpu, Addr mas, Addr node, int32_t offset, Vpn index, Vpn last) {
  store(cpu, mas + MaState_node, (int32_t)node);
  store(cpu, mas + MaState_offset, offset);
  storeVpn(cpu, mas + MaState_index, index);
  storeVpn(cpu, mas + MaState_last, last);
}

static Addr passEnd(const Cpu *cpu, Addr mas, int32_t mark, Vpn limit) {
  setPlace(cpu, mas, mark, 0, limit, limit);
  return 0;
}

/* Puts the state on the slot that covers `index`; false when the tree is empty. */
static bool walkTo(const Cpu *cpu, Addr mas, Vpn index) {
  Addr leaf = findLeaf(cpu, load(cpu, mas + MaState_tree), index);
  if (leaf == 0) return false;
  int32_t slot = findSlot(cpu, leaf, index);
  setPlace(cpu, mas, leaf, slot, slotFirst(cpu, leaf, slot), pivotAt(cpu, leaf, slot));
  return true;
}

static Addr entryAt(const Cpu *cpu, Addr mas) {
  return slotAt(cpu, load(cpu, mas + MaState_node), load(cpu, mas + MaState_offset));
}

static Addr stepUp(const Cpu *cpu, Addr mas, Vpn max) {
  Addr leaf = load(cpu, mas + MaState_node);
  int32_t slot = load(cpu, mas + MaState_offset);
  Vpn first = loadVpn(cpu, mas + MaState_last) + 1;
  int32_t slots = nodeCount(cpu, leaf);
  while (first <= max) {
    slot++;
    if (slot == slots) {
      leaf = nextLeaf(cpu, leaf);
      slots = nodeCount(cpu, leaf);
      slot = 0;
    }
    Vpn last = pivotAt(cpu, leaf, slot);
    Addr entry = slotAt(cpu, leaf, slot);
    if (entry != 0) {
      setPlace(cpu, mas, leaf, slot, first, last);
      return entry;
    }
    first = last + 1;
  }
  return passEnd(cpu, mas, MAS_OVERFLOW, max);
}

static Addr stepDown(const Cpu *cpu, Addr mas, Vpn min) {
  Addr leaf = load(cpu, mas + MaState_node);
  int32_t slot = load(cpu, mas + MaState_offset);
  Vpn last = loadVpn(cpu, mas + MaState_index) - 1;
  while (last >= min) {
    slot--;
    if (slot < 0) {
      leaf = prevLeaf(cpu, leaf);
      slot = nodeCount(cpu, leaf) - 1;
    }
    Vpn first = slotFirst(cpu, leaf, slot);
    Addr entry = slotAt(cpu, leaf, slot);
    if (entry != 0) {
      setPlace(cpu, mas, leaf, slot, first, last);
      return entry;
    }
    last = first - 1;
  }
  return passEnd(cpu, mas, MAS_UNDERFLOW, min);
}

/* --- vma-iter.ts, with VMAs in the tree --- */

static void masInit(const Cpu *cpu, Addr mas, Addr tree, Vpn index) {
  store(cpu, mas + MaState_tree, (int32_t)tree);
  setPlace(cpu, mas, MAS_START, 0, index, index);
}

static Addr firstVma(const Cpu *cpu, Addr mm, Addr walk) {
  masInit(cpu, walk, mm + Mm_tree, 0);
  if (!walkTo(cpu, walk, 0)) return passEnd(cpu, walk, MAS_OVERFLOW, MAX_VPN);
  Addr entry = entryAt(cpu, walk);
  return entry != 0 ? entry : stepUp(cpu, walk, MAX_VPN);
}

static Addr nextVma(const Cpu *cpu, Addr walk) { return stepUp(cpu, walk, MAX_VPN); }

static Addr lastVma(const Cpu *cpu, Addr mm, Addr walk) {
  masInit(cpu, walk, mm + Mm_tree, MAX_VPN);
  if (!walkTo(cpu, walk, MAX_VPN)) return passEnd(cpu, walk, MAS_UNDERFLOW, 0);
  Addr entry = entryAt(cpu, walk);
  return entry != 0 ? entry : stepDown(cpu, walk, 0);
}

static Addr prevVma(const Cpu *cpu, Addr walk) { return stepDown(cpu, walk, 0); }
