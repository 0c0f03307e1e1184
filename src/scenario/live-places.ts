/** Where the pages of a live process lie, by all that the system tells this user. */

import { hugePlaces, PageFlags } from "./huge-places.ts";
import { MAX_PAGEMAP_PAGES, Pagemap, type PagePlaces } from "./pagemap.ts";
import type { SmapsMapping } from "./smaps.ts";

export class LivePlaces {
  readonly #pagemap: Pagemap;
  readonly #flags: PageFlags | undefined;

  /** Works without `kpageflags`. @throws system errors of opening `pagemap` */
  constructor(pagemap: string, kpageflags: string, pageKb: number) {
    this.#pagemap = new Pagemap(pagemap, pageKb);
    this.#flags = openFlags(kpageflags);
  }

  /** Undefined for a mapping that is too large to look through. */
  of({ startVpn, pages, anonHugeKb }: SmapsMapping): PagePlaces | undefined {
    if (pages > MAX_PAGEMAP_PAGES) return undefined;
    const places = this.#pagemap.places(startVpn, pages);
    if (anonHugeKb === 0) return places;
    const huge = hugePlaces(places.anon, startVpn, anonHugeKb / 4, this.#isHugeAt());
    return huge === undefined ? places : { ...places, huge };
  }

  close(): void {
    this.#pagemap.close();
    this.#flags?.close();
  }

  #isHugeAt(): ((vpn: number) => boolean) | undefined {
    const flags = this.#flags;
    if (flags === undefined) return undefined;
    return (vpn) => {
      const pfn = this.#pagemap.pfn(vpn);
      return pfn !== 0 && flags.isHugeHead(pfn);
    };
  }
}

function openFlags(path: string): PageFlags | undefined {
  try {
    return new PageFlags(path);
  } catch {
    return undefined;
  }
}
