/** A cache of its own for each test, and a tarball to make bases of, without namespaces. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../src/log.ts';
import { useBase } from '../../src/rootfs/base.ts';
import { type CacheFolder, openCache } from '../../src/rootfs/cache.ts';
import type { Base } from '../../src/rootfs/known-base.ts';
import { fakeHolder } from './fake-holder.ts';

export class BaseCache {
  readonly folder = mkdtempSync(join(tmpdir(), 'vtu-base-'));
  readonly cache: CacheFolder = openCache({ XDG_CACHE_HOME: this.folder });
  readonly tarball = this.makeTarball('a.tar', 'one');

  /** A tarball whose tree has a /bin/sh and a file with this text. */
  makeTarball(name: string, text: string): string {
    const tree = mkdtempSync(join(this.folder, 'tree-'));
    mkdirSync(join(tree, 'bin'));
    writeFileSync(join(tree, 'bin/sh'), '#!/nothing\n', { mode: 0o755 });
    writeFileSync(join(tree, 'text'), text);
    execFileSync('tar', ['-cf', join(this.folder, name), '-C', tree, '.']);
    return join(this.folder, name);
  }

  readonly use = (path = this.tarball, holder = fakeHolder): Promise<Base> =>
    useBase({ kind: 'tarball', path }, holder, this.cache, silentLog);

  readonly entries = (): string[] => readdirSync(this.cache.bases);

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export const textIn = (base: Base): string => readFileSync(join(base.path, 'text'), 'utf8');
