/** A folder for each test with the place of a container image, and a cache that takes it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TarEntry } from '../../../src/archive/tar-entry.ts';
import { TarReader } from '../../../src/archive/tar-reader.ts';
import { UsageError } from '../../../src/errors.ts';
import { silentLog } from '../../../src/log.ts';
import { openCache } from '../../../src/rootfs/cache.ts';
import { importImage } from '../../../src/rootfs/images.ts';
import { hostArchitecture } from '../../../src/rootfs/release.ts';
import { raw } from '../archive/archives.ts';

export const SHELL = raw({ name: 'bin/sh', mode: 0o755, data: 'shell' });

export const whiteout = (name: string): Buffer => raw({ name });

const name = `c-${hostArchitecture()}`;

export class ImageFolder {
  readonly folder = mkdtempSync(join(tmpdir(), 'vtu-images-'));
  readonly layout = join(this.folder, 'layout');
  readonly cache = openCache({ XDG_CACHE_HOME: this.folder });

  take(path = this.layout): Promise<string> {
    return importImage(this.cache, path, name, silentLog);
  }

  /** The error has this code, words and a remedy, and nothing is left in the cache. */
  async refuses(taken: Promise<unknown>, code: string, words: RegExp): Promise<void> {
    await assert.rejects(taken, (error) => {
      assert.ok(error instanceof UsageError, String(error));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, words);
      assert.doesNotMatch(error.message, /\p{Cc}/u);
      assert.ok(error.remedy);
      return true;
    });
    assert.deepEqual(readdirSync(this.cache.images), []);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A line for each entry: kind, path, and the content of a file or the target of a link. */
export function listing(path: string): string[] {
  const bytes = path.endsWith('.zst')
    ? execFileSync('zstd', ['-d', '-c', path], { maxBuffer: 1e9 })
    : readFileSync(path);
  const found: (TarEntry & { text: string })[] = [];
  const reader = new TarReader({
    entry: (entry) => void found.push({ ...entry, text: '' }),
    data: (data) => {
      const last = found.at(-1);
      if (last !== undefined) last.text += data.toString('latin1');
    },
  });
  reader.push(bytes);
  reader.finish();
  return found.map(({ kind, path, text, link }) =>
    [kind, path, text + link].filter((word) => word !== '').join(' '),
  );
}
