/** The root filesystem that scripts/prepare made for the tests. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The project's own folder, with a slash at its end. */
export const projectDir = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Path of a tarball of a small Debian (apt, package lists, no compiler) of the host's own release, in the cache of the
 * user who runs the tests. Throws when scripts/prepare has not been run.
 */
export function testTarball(): string {
  const path = execFileSync(`${projectDir}scripts/rootfs-path`, { encoding: 'utf8' }).trimEnd();
  if (!existsSync(path)) throw new Error(`there is no ${path}; run scripts/prepare --test`);
  return path;
}
