import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UsageError } from "../../src/base/errors.ts";
import type { BenchBlock, BenchResult, MreleaseRow } from "../../src/report/bench-result.ts";
import { toJson, writeJson } from "../../src/report/json.ts";
import type { ListResult } from "../../src/report/list-result.ts";
import { buildMrelease } from "../../src/report/mrelease-build.ts";
import { rawMrelease, sampleResult } from "./sample-result.ts";

const SCHEMAS = new URL("../../schemas/", import.meta.url);

function validatorOf(file: string) {
  return new Ajv2020({ allowUnionTypes: true, allErrors: true }).compile(
    JSON.parse(readFileSync(new URL(file, SCHEMAS), "utf8")),
  );
}

/** Every path to a value inside a JSON value, outermost first. */
function pathsIn(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (value === null || typeof value !== "object") return [path];
  const inner = Object.entries(value).flatMap(([key, one]) =>
    pathsIn(one, [...path, Array.isArray(value) ? Number(key) : key]),
  );
  return [path, ...inner];
}

function parentOf(root: unknown, path: readonly (string | number)[]): Record<string | number, unknown> {
  return path.slice(0, -1).reduce((at, key) => (at as Record<string | number, unknown>)[key], root) as Record<
    string | number,
    unknown
  >;
}

/** Trials repeat each other: one of each variant says what all say. */
function oneTrialEach(result: BenchResult): BenchResult {
  const blocks = result.blocks.map((block): BenchBlock => {
    if (block.state !== "measured") return block;
    const variants = block.variants.map((one) => ({
      ...one,
      trials: one.trials.slice(0, 1),
      again: one.again?.slice(0, 1) ?? null,
    }));
    return { ...block, variants };
  });
  const { mrelease } = result;
  const first = (row: MreleaseRow): MreleaseRow =>
    row.state === "measured" ? { ...row, pairs: row.pairs.slice(0, 1) } : row;
  const shortened = mrelease.state === "measured" ? { ...mrelease, rows: mrelease.rows.map(first) } : mrelease;
  return { ...result, blocks, allocators: [], mrelease: shortened };
}

const LIST: ListResult = {
  schema: "oomrace.list/1",
  version: "0.1.0",
  protocols: [{ name: "v6.1", idea: "unmap under the read lock", origin: "bf3980c85212" }],
  orders: [{ name: "forward", idea: "low to high", origin: null }],
  layouts: [],
  scenarios: [],
  invariants: [],
};

describe.each([
  ["oomrace.bench.1.json", oneTrialEach(sampleResult())],
  ["oomrace.list.1.json", LIST],
] as const)("%s", (file, record) => {
  const validate = validatorOf(file);
  const plain = JSON.parse(toJson(record));

  test("accepts a record", () => {
    validate(plain);
    expect(validate.errors).toBeNull();
  });

  test("demands every field, and knows no other", () => {
    const fields = pathsIn(plain).filter((path) => typeof path.at(-1) === "string");
    expect(fields.length).toBeGreaterThan(10);
    for (const path of fields) {
      const parent = parentOf(plain, path);
      const key = path.at(-1) as string;
      const value = parent[key];
      delete parent[key];
      expect(validate(plain), `without ${path.join(".")}`).toBe(false);
      parent[`${key}X`] = value;
      parent[key] = value;
      expect(validate(plain), `with ${path.join(".")}X`).toBe(false);
      delete parent[`${key}X`];
      parent[key] = { unexpected: true };
      expect(validate(plain), `with an object for ${path.join(".")}`).toBe(false);
      parent[key] = value;
    }
    expect(validate(plain)).toBe(true);
  });
});

test("absent C programs and an interrupted run validate too", () => {
  const validate = validatorOf("oomrace.bench.1.json");
  const absent = { state: "absent", reason: "no C compiler" } as const;
  const bare = sampleResult({ partial: true, native: absent, mrelease: absent, blocks: [] });
  expect(validate(JSON.parse(toJson(bare)))).toBe(true);
  expect(validate({ ...JSON.parse(toJson(bare)), schema: "oomrace.bench/2" })).toBe(false);
  const late = buildMrelease(rawMrelease(), "kthread", [], 1);
  expect(validate(JSON.parse(toJson(sampleResult({ mrelease: late }))))).toBe(true);
});

test("each schema file is named after its record", () => {
  const files = readdirSync(SCHEMAS);
  expect(files.length).toBeGreaterThan(1);
  for (const file of files) {
    const schema = JSON.parse(readFileSync(new URL(file, SCHEMAS), "utf8"));
    expect(schema.properties.schema.const).toBe(file.replace(/\.(\d+)\.json$/, "/$1"));
  }
});

describe("writing", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "oomrace-json-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("a file or standard output, schema first", () => {
    const file = join(folder, "list.json");
    writeJson(LIST, file);
    expect(readFileSync(file, "utf8")).toMatch(/^\{\n "schema": "oomrace\.list\/1",\n/);
    const stdout = new PassThrough();
    writeJson(LIST, "-", stdout);
    expect(JSON.parse(String(stdout.read()))).toEqual(LIST);
    expect(existsSync("-")).toBe(false);
  });

  test("a file that cannot be written is the user's mistake, said in one line", () => {
    const file = join(folder, "missing", "x.json");
    expect(() => writeJson(LIST, file)).toThrow(
      new UsageError(`--json ${file}: cannot be written (ENOENT), expected a writable file or -`),
    );
  });

  test("numbers that JSON lacks and records without a schema in front are refused", () => {
    expect(() => toJson({ ...LIST, version: Number.NaN } as unknown as ListResult)).toThrow("toJson: version is NaN");
    expect(() => toJson({ version: "1", schema: "x/1" } as never)).toThrow("toJson: a record opens with its schema");
  });
});
