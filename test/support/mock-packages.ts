/** mock-packages/manifest.json: what the driver must make of each mock package. */
import { readFileSync } from 'node:fs';
import { projectDir } from './rootfs.ts';

export interface MockPackage {
  /** Name of the folder in mock-packages. */
  readonly package: string;
  /** The one behaviour that it is for. */
  readonly about: string;
  /** Options of autopkgtest. */
  readonly options: readonly string[];
  /** Root filesystem, as of scripts/rootfs-path. Default: build. */
  readonly image?: 'build' | 'init';
  /** Further options of the server. Default: none. */
  readonly serverOptions?: readonly string[];
  /** Exit status of autopkgtest. */
  readonly status: number;
  /** For each test what its line of the summary says; with a `*` at the end, how it starts (drivers word it differently). */
  readonly tests: Readonly<Record<string, string>>;
  /** Where autopkgtest-virt-unshare 5.28 gives another result, and why that is wrong. */
  readonly peer?: string;
}

export const mockPackagesDir = `${projectDir}mock-packages`;

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isMockPackage(value: unknown): value is MockPackage {
  if (!isRecord(value) || !isRecord(value.tests) || !Array.isArray(value.options)) return false;
  return (
    (value.serverOptions === undefined || Array.isArray(value.serverOptions)) &&
    [value.package, value.about, ...value.options, ...Object.values(value.tests)].every(
      (word) => typeof word === 'string',
    ) &&
    [undefined, 'build', 'init'].some((image) => image === value.image) &&
    typeof value.status === 'number' &&
    ['string', 'undefined'].includes(typeof value.peer)
  );
}

export function readManifest(): MockPackage[] {
  const manifest: unknown = JSON.parse(readFileSync(`${mockPackagesDir}/manifest.json`, 'utf8'));
  if (!Array.isArray(manifest)) throw new Error('mock-packages/manifest.json is not a list');
  return manifest.map((entry: unknown) => {
    if (!isMockPackage(entry)) throw new Error(`not an entry of the manifest: ${JSON.stringify(entry)}`);
    return entry;
  });
}

/** The results as the manifest words them: where it says only how a line starts, so do we. */
export function asExpected(
  expected: Readonly<Record<string, string>>,
  results: Readonly<Record<string, string>>,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(results).map(([test, result]) => {
      const wanted = expected[test];
      const start = wanted?.endsWith('*') ? wanted.slice(0, -1) : undefined;
      return [
        test,
        wanted !== undefined && start !== undefined && result.startsWith(start) ? wanted : result,
      ];
    }),
  );
}
