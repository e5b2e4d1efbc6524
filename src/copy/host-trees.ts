import {
  chmodSync,
  closeSync,
  fchmodSync,
  lstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs';
import { DIRECTORY_ITSELF, joined, lstatOrNothing } from './host-paths.ts';

export const OWNER_ALL = 0o700;

/** To move a directory the kernel changes its `..`, so its owner needs write permission. */
export function move(source: Buffer, target: Buffer): void {
  const { mode } = lstatSync(source);
  const isLocked =
    (mode & 0o170000) === 0o040000 && (mode & OWNER_ALL) !== OWNER_ALL && process.geteuid?.() !== 0;
  if (!isLocked) {
    renameSync(source, target);
    return;
  }
  chmodSync(source, OWNER_ALL);
  const directory = openSync(source, DIRECTORY_ITSELF);
  try {
    renameSync(source, target);
  } finally {
    fchmodSync(directory, mode & 0o7777);
    closeSync(directory);
  }
}

export async function removeTree(path: Buffer): Promise<void> {
  const status = lstatOrNothing(path);
  if (status === undefined) return;
  if (!status.isDirectory()) {
    unlinkSync(path);
    return;
  }
  chmodSync(path, OWNER_ALL);
  for (const name of readdirSync(path, { encoding: 'buffer' })) await removeTree(joined(path, name));
  rmdirSync(path);
}
