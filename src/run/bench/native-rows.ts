import type { BenchContext } from "./context.ts";
import type { BenchOptions, RawNative } from "./record.ts";
export async function measureNativeTwin(_c: BenchContext, _p: number, _o: BenchOptions): Promise<RawNative> {
  return { state: "absent", reason: "under way" };
}
