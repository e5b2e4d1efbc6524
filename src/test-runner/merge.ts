/** Puts the output directories of drivers together as one driver would have written them. */
import { chmodSync, lstatSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packagesOfTest } from './packages.ts';

export interface Part {
  /** Output directory of a driver. */
  readonly folder: string;
  /** Names of its tests that have a result. */
  readonly names: readonly string[];
  /** Whether its testbeds started from an image with dependencies. */
  readonly prepared: boolean;
}

/** @param parts in the order of their tests; of two files with one name the later is kept, as when one driver copies both */
export function mergeParts(parts: readonly Part[], target: string): void {
  const pristine = readIfThere(join(target, 'testbed-packages'));
  for (const { folder, names, prepared } of parts) {
    for (const name of names) {
      for (const ending of ['-stdout', '-stderr', '-packages']) {
        const path = join(folder, name + ending);
        // Of a test with the name `testbed`; the driver itself confuses them.
        if (`${name}${ending}` === 'testbed-packages' || !isThere(path)) continue;
        if (ending === '-packages' && prepared) {
          const opened = readIfThere(join(folder, 'testbed-packages'));
          writeFileSync(path, packagesOfTest(readFileSync(path, 'utf8'), opened, pristine));
        }
        put(Buffer.from(path), Buffer.from(join(target, name + ending)));
      }
    }
    const artifacts = join(folder, 'artifacts');
    if (isThere(artifacts)) put(Buffer.from(artifacts), Buffer.from(join(target, 'artifacts')));
  }
}

/** Moves a file or tree. No link is followed: what a testbed has written may be below both paths. Names may have any bytes. */
function put(from: Buffer, to: Buffer): void {
  const source = lstatSync(from);
  const target = lstatSync(to, { throwIfNoEntry: false });
  if (source.isDirectory() && target?.isDirectory()) {
    withRights(from, source.mode, () =>
      withRights(to, target.mode, () => {
        for (const name of readdirSync(from, { encoding: 'buffer' })) put(below(from, name), below(to, name));
      }),
    );
    return;
  }
  if (target !== undefined) rmSync(to, { recursive: true });
  // A directory that moves gets another `..`, so it has to be writable too.
  if (source.isDirectory()) withRights(from, source.mode, () => renameSync(from, to), to);
  else renameSync(from, to);
}

/** @param after where the directory is after the work */
function withRights(path: Buffer, mode: number, work: () => void, after = path): void {
  const lacks = (mode & 0o700) !== 0o700;
  if (lacks) chmodSync(path, (mode & 0o7777) | 0o700);
  work();
  if (lacks) chmodSync(after, mode & 0o7777);
}

function below(folder: Buffer, name: Buffer): Buffer {
  return Buffer.concat([folder, Buffer.from('/'), name]);
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

export function readIfThere(path: string): string {
  return isThere(path) ? readFileSync(path, 'utf8') : '';
}
