/** The root filesystem that scripts/prepare made for the tests. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's own folder, with a slash at its end. */
export const projectDir = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Path of a tarball with a Debian of the host's own release and its package lists, in the cache of the user that runs the
 * tests: `small` has apt and what is essential (160 MB), `build` has build-essential too (500 MB),
 * `lab` has the servers and tools of the laboratories' tests, `init` has systemd, dbus and cron, `arm64` and `riscv64` have only a busybox of that architecture.
 * Throws when scripts/prepare has not been run.
 */
export function testTarball(
  image: 'small' | 'build' | 'lab' | 'init' | 'arm64' | 'riscv64' = 'small',
): string {
  const path = execFileSync(`${projectDir}scripts/rootfs-path`, [image], { encoding: 'utf8' }).trimEnd();
  if (!existsSync(path)) throw new Error(`there is no ${path}; run scripts/prepare --test`);
  return path;
}

/** Makes a cache ($XDG_CACHE_HOME) in the folder that has an image of each release, all of them the small one. */
export function cacheOfReleases(folder: string): string {
  const cache = join(folder, 'cache');
  const images = join(cache, 'virt-ts-unshare/images');
  mkdirSync(images, { recursive: true });
  const tarball = testTarball();
  const [, arch = ''] = /-(\w+)-small\.tar$/.exec(tarball) ?? [];
  for (const release of ['bookworm', 'trixie', 'forky', 'unstable', 'sid']) {
    symlinkSync(tarball, join(images, `${release}-${arch}.tar`));
  }
  return cache;
}
