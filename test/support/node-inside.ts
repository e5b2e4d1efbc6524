/** The Node.js of this machine in a testbed. Debian's own has a shared library and reads modules of /usr/share/nodejs. */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

export interface Visible {
  readonly outside: string;
  readonly inside: string;
  readonly readOnly: true;
}

/** A read-only bind. */
export const visible = (outside: string, inside: string): Visible => ({ outside, inside, readOnly: true });

/** Words before those of a script, in a testbed of the same release with these binds. */
export const NODE = 'env LD_LIBRARY_PATH=/opt/node-libraries /opt/node';

/** The image has these, which belong to its own loader. */
const OF_LIBC = /^(?:ld-linux|linux-vdso|lib(?:c|dl|m|pthread|rt)\.so)/;
const MODULES = '/usr/share/nodejs';

export function bindNode(): { readonly binds: readonly Visible[]; remove(): void } {
  const program = realpathSync(process.execPath);
  const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-libraries-'));
  chmodSync(folder, 0o755);
  const needed = execFileSync('ldd', [program], { encoding: 'utf8' }).matchAll(/=> (\/\S+)/g);
  for (const [, path = ''] of needed)
    if (!OF_LIBC.test(basename(path))) copyFileSync(path, join(folder, basename(path)));
  const modules = existsSync(MODULES) ? [visible(MODULES, MODULES)] : [];
  return {
    binds: [visible(program, '/opt/node'), visible(folder, '/opt/node-libraries'), ...modules],
    remove: () => rmSync(folder, { recursive: true }),
  };
}
