import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hugePlaces, PageFlags } from "../../src/scenario/huge-places.ts";
import { LivePlaces } from "../../src/scenario/live-places.ts";
import { parseSmaps, type SmapsMapping } from "../../src/scenario/smaps.ts";

const ANON = [100, 2000];
/** The mapping begins at page 0x400, a multiple of 512. */
const START = 0x400;

describe("hugePlaces", () => {
  test("as many whole 2 MiB as huge pages: it is they", () => {
    expect(hugePlaces(ANON, START, 1536, undefined)).toEqual([512, 1536]);
  });

  test("more of them: those in which a huge page begins, or nobody knows", () => {
    expect(hugePlaces(ANON, START, 1024, undefined)).toBeUndefined();
    expect(hugePlaces(ANON, START, 1024, (vpn) => vpn !== START + 1024)).toEqual([512, 512, 1536, 512]);
    expect(hugePlaces(ANON, START, 1024, (vpn) => vpn > START + 512)).toEqual([1024, 1024]);
    expect(hugePlaces(ANON, START, 1024, () => true)).toBeUndefined();
    expect(hugePlaces([0, 511], START, 512, () => true)).toBeUndefined();
  });
});

describe("a live process", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "oomrace-huge-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  function bigWords(name: string, values: readonly bigint[]): string {
    const path = join(folder, name);
    writeFileSync(path, Buffer.from(BigUint64Array.from(values).buffer));
    return path;
  }

  const PRESENT = 1n << 63n;
  const HUGE_HEAD = (1n << 22n) | (1n << 15n);
  /** Pages 0x400 to 0xbff in frames 1 upwards, behind pages without any. */
  const entries = [
    ...new Array<bigint>(START).fill(0n),
    ...Array.from({ length: 2048 }, (_, i) => PRESENT | BigInt(i + 1)),
  ];
  const flags = new Array<bigint>(2049).fill(1n << 22n);

  function mappingOf(anonHugeKb: number): SmapsMapping {
    const sizes = `Rss: 8192 kB\nAnonymous: 8192 kB\nAnonHugePages: ${anonHugeKb} kB\n`;
    return parseSmaps(`00400000-00c00000 rw-p 00000000 00:00 0 \n${sizes}`, "text").mappings[0] as SmapsMapping;
  }

  function placesOf(mapping: SmapsMapping, kpageflags: string, pagemap = entries) {
    const places = new LivePlaces(bigWords("pagemap", pagemap), kpageflags, 4);
    const found = places.of(mapping);
    places.close();
    return found;
  }

  test("the frames behind its pages tell which are huge", () => {
    const heads = flags.map((bits, pfn) => (pfn === 513 || pfn === 1537 ? HUGE_HEAD : bits));
    const all = { anon: [0, 2048], file: [], swapped: [] };
    expect(placesOf(mappingOf(4096), bigWords("heads", heads))).toEqual({ ...all, huge: [512, 512, 1536, 512] });
    expect(placesOf(mappingOf(4096), join(folder, "nowhere"))).toEqual(all);
    expect(placesOf(mappingOf(0), bigWords("heads", heads))).toEqual(all);
  });

  test("frames that are not shown, or have no flags, tell nothing", () => {
    const one = bigWords("one", [HUGE_HEAD]);
    const pageFlags = new PageFlags(one);
    expect([pageFlags.isHugeHead(0), pageFlags.isHugeHead(1)]).toEqual([true, false]);
    pageFlags.close();
    const hidden = entries.map((bits) => bits & PRESENT);
    expect(placesOf(mappingOf(4096), one, hidden)?.huge).toBeUndefined();
  });
});
