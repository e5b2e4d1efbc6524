/** The error for a root filesystem whose files root of the testbeds may not read. */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { TestbedError } from '../errors.ts';
import { shellQuote } from '../log.ts';

export function closedRoot(folder: string, closed: string): TestbedError {
  const path = join(folder, closed);
  return new TestbedError(
    `the testbed's root may not read ${path}, as the files of this root filesystem belong to other users; ${remedy(folder, path)}`,
  );
}

function remedy(folder: string, path: string): string {
  if (folder === '/') return "'virt-ts-unshare run --host' runs a command over this machine's own files";
  const quoted = shellQuote(folder);
  if (readable(path)) {
    return `'virt-ts-unshare rootfs import ${quoted} NAME' makes an image of it, for --release NAME`;
  }
  return `as the user whose files they are, 'tar -C ${quoted} -cf FILE .' makes a tarball of it, for --tarball FILE`;
}

function readable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
