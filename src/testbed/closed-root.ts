import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { TestbedError } from '../errors.ts';
import { shellQuote } from '../log.ts';
import { option } from '../option-words.ts';

export function closedRoot(folder: string, closed: string): TestbedError {
  const path = join(folder, closed);
  return new TestbedError(
    `root of the testbed may not read ${path}, because the files of this root filesystem belong to other users`,
    { code: 'ROOT_CLOSED', remedy: remedy(folder, path) },
  );
}

function remedy(folder: string, path: string): string {
  if (folder === '/') return "use 'virt-ts-unshare run --host' to run a command on this machine's own files";
  const quoted = shellQuote(folder);
  if (readable(path)) {
    return `make an image of it for ${option('release', 'NAME')} by 'virt-ts-unshare rootfs import ${quoted} NAME'`;
  }
  return `make a tarball of it for ${option('tarball', 'FILE')} by 'tar -C ${quoted} -cf FILE .', as the user that owns the files`;
}

function readable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
