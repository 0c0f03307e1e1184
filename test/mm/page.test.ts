import { describe, expect, it } from "vitest";
import { runToEnd } from "../../src/arena/mem.ts";
import {
  Frame,
  folioAddRmap,
  folioEnd,
  folioHead,
  folioRefAdd,
  folioRemoveRmap,
  frameAddress,
  getPage,
  linkOrder,
  linkOwner,
  linkType,
  PAGE_DIRTY,
  PAGE_TYPE_ANON,
  PAGE_TYPE_OTHER,
  PAGE_TYPE_TABLE,
  PAGE_YOUNG,
  pageLink,
  pageMapcount,
  pageMark,
  pageRefcount,
  pageSetOwner,
} from "../../src/mm/page.ts";
import { allocPages, GFP_KERNEL, putPage } from "../../src/mm/page-alloc.ts";
import { pageMachine, toyShape } from "./page-machine.ts";

function setup() {
  const machine = pageMachine(toyShape(64));
  const cpu = machine.cpu(0);
  const alloc = (order: number): number => runToEnd(allocPages(cpu, order, GFP_KERNEL));
  return { machine, cpu, alloc };
}

describe("page frames", () => {
  it("takes 12 bytes, 16 together with a PTE", () => {
    expect(Frame.WORDS).toBe(3);
  });

  it("hands out pages with one reference, no mapping, no owner, content 0", () => {
    const { machine, cpu, alloc } = setup();
    const pfn = alloc(0);
    expect(runToEnd(pageRefcount(cpu, pfn))).toBe(1);
    expect(runToEnd(pageMapcount(cpu, pfn))).toBe(0);
    const link = runToEnd(pageLink(cpu, pfn));
    expect([linkType(link), linkOwner(link), linkOrder(link)]).toEqual([PAGE_TYPE_OTHER, 0, 0]);
    expect(machine.words[frameAddress(cpu, pfn) + Frame.data]).toBe(0);
  });

  it("keeps type, owner, order, dirty and young apart", () => {
    const { cpu, alloc } = setup();
    const pfn = alloc(2);
    const owner = (1 << 23) - 1;
    pageSetOwner(cpu, pfn, PAGE_TYPE_ANON, owner);
    pageSetOwner(cpu, pfn, PAGE_TYPE_TABLE, owner);
    runToEnd(pageMark(cpu, pfn, PAGE_DIRTY));
    runToEnd(pageMark(cpu, pfn, PAGE_DIRTY | PAGE_YOUNG));
    const link = runToEnd(pageLink(cpu, pfn));
    expect([linkType(link), linkOwner(link), linkOrder(link)]).toEqual([PAGE_TYPE_TABLE, owner, 2]);
    expect(link & (PAGE_DIRTY | PAGE_YOUNG)).toBe(PAGE_DIRTY | PAGE_YOUNG);
    expect(() => pageSetOwner(cpu, pfn, PAGE_TYPE_ANON, owner + 1)).toThrow("ownedLink: owner");
  });

  it("writes no mark that is there already", () => {
    const { cpu, alloc } = setup();
    const pfn = alloc(0);
    const operations = (): number => {
      let n = 0;
      for (const steps = pageMark(cpu, pfn, PAGE_YOUNG); !steps.next().done; ) n++;
      return n;
    };
    expect([operations(), operations()]).toEqual([2, 1]);
  });

  it("leads from every page of a folio to its head and its end", () => {
    const { cpu, alloc } = setup();
    const head = alloc(3);
    for (let i = 0; i < 8; i++) {
      expect(folioHead(cpu, head + i)).toBe(head);
      expect(folioEnd(cpu, head + i)).toBe(head + 8);
    }
  });

  it("counts references and mappings apart", () => {
    const { cpu, alloc } = setup();
    const pfn = alloc(0);
    runToEnd(getPage(cpu, pfn));
    runToEnd(folioRefAdd(cpu, pfn, 5));
    runToEnd(folioAddRmap(cpu, pfn, 3));
    runToEnd(folioRemoveRmap(cpu, pfn, 2));
    expect(runToEnd(pageRefcount(cpu, pfn))).toBe(7);
    expect(runToEnd(pageMapcount(cpu, pfn))).toBe(1);
  });

  it("refuses a pfn outside the machine", () => {
    const { cpu } = setup();
    for (const pfn of [0, 64, -1, 1.5]) expect(() => frameAddress(cpu, pfn)).toThrow("frameAddress: pfn");
  });
});

describe("misuse of counts is a violation of I2", () => {
  const broken = (run: () => void): string => {
    try {
      run();
    } catch (error) {
      expect((error as Error).name).toBe("Violation");
      return (error as Error).message;
    }
    throw new Error("nothing was thrown");
  };

  it("double free", () => {
    const { cpu, alloc } = setup();
    const pfn = alloc(0);
    runToEnd(putPage(cpu, pfn));
    expect(broken(() => runToEnd(putPage(cpu, pfn)))).toContain(`I2: putPage: page ${pfn} is not allocated (free`);
  });

  it("put of a page that was never allocated, and of a tail", () => {
    const { cpu, alloc } = setup();
    const pfn = alloc(4);
    expect(broken(() => runToEnd(putPage(cpu, 63)))).toContain("page 63 is not allocated");
    expect(broken(() => runToEnd(putPage(cpu, pfn + 1)))).toContain("a folio's tail");
  });

  it("put of a reserved frame", () => {
    const machine = pageMachine({ ...toyShape(64), zones: [{ node: 0, start: 8, end: 64 }] });
    expect(broken(() => runToEnd(putPage(machine.cpu(0), 7)))).toContain("reserved");
  });

  it("rmap underflow", () => {
    const { cpu, alloc } = setup();
    const pfn = alloc(0);
    runToEnd(folioAddRmap(cpu, pfn, 1));
    runToEnd(folioRemoveRmap(cpu, pfn, 1));
    expect(broken(() => runToEnd(folioRemoveRmap(cpu, pfn, 1)))).toContain("is mapped 0 times");
    expect(broken(() => runToEnd(folioRemoveRmap(cpu, 40, 1)))).toContain("page 40 is free");
  });

  it("freed while mapped", () => {
    const { cpu, alloc } = setup();
    const pfn = alloc(0);
    runToEnd(folioAddRmap(cpu, pfn, 2));
    expect(broken(() => runToEnd(putPage(cpu, pfn)))).toContain("is freed while mapped 2 times");
  });

  it("reference or mapping of a free page", () => {
    const { cpu } = setup();
    expect(broken(() => runToEnd(getPage(cpu, 40)))).toContain("folioRefAdd: page 40 is free");
    expect(broken(() => runToEnd(folioAddRmap(cpu, 41, 1)))).toContain("folioAddRmap: page 41 is free");
  });

  it("overflow of either count", () => {
    const { cpu, alloc } = setup();
    const pfn = alloc(0);
    runToEnd(folioAddRmap(cpu, pfn, 0x7fff));
    expect(broken(() => runToEnd(folioAddRmap(cpu, pfn, 1)))).toContain("mapcount");
    const other = alloc(0);
    runToEnd(folioRefAdd(cpu, other, 0xfffe));
    expect(broken(() => runToEnd(getPage(cpu, other)))).toContain("refcount");
  });

  it("use of a freed page's content or link", () => {
    const { machine, cpu, alloc } = setup();
    const pfn = alloc(0);
    runToEnd(putPage(cpu, pfn));
    expect(broken(() => folioHead(cpu, pfn))).toContain(`I1: page ${pfn}`);
    expect(broken(() => runToEnd(pageLink(cpu, pfn)))).toContain("I1: ");
    expect(machine.check().onLists).toBeGreaterThan(0);
  });
});
