/** The architecture of an unpacked root filesystem: that of its /bin/sh. */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { TestbedError } from '../errors.ts';
import { ELF_HEADER, type Machine, machineNamed, machineOf } from '../namespaces/machines.ts';
import { option } from '../option-words.ts';
import { findInTree } from './tree.ts';

/** Undefined where it cannot be read, or is of no known architecture. */
export function architectureOf(root: string): Machine | undefined {
  const shell = findInTree(root, '/bin/sh');
  if (shell.kind !== 'found' || !shell.stats.isFile()) return undefined;
  const header = Buffer.alloc(ELF_HEADER);
  try {
    const file = openSync(shell.path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      return readSync(file, header, 0, ELF_HEADER, 0) < ELF_HEADER ? undefined : machineOf(header);
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined;
  }
}

/** @throws TestbedError when the user has named another architecture than the root filesystem has */
export function checkArchitecture(
  found: Machine | undefined,
  wanted: string | undefined,
  path: string,
): void {
  // One that this program does not know may be written in another way.
  if (found === undefined || wanted === undefined || machineNamed(wanted) === undefined) return;
  if (found.name === wanted) return;
  throw new TestbedError(
    `${path} is a root filesystem of ${found.name}, but ${option('arch')} is ${wanted}`,
    {
      code: 'WRONG_ARCHITECTURE',
      remedy: `give ${option('arch', found.name)}, or a root filesystem of ${wanted}`,
    },
  );
}
