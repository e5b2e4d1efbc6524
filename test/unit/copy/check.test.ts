/** Limits of what the checks keep in memory. What they refuse is in hostile-corpus.ts. */
import assert from 'node:assert/strict';
import type { TarEntry } from '../../../src/archive/tar-entry.ts';
import { EntryChecker } from '../../../src/copy/check.ts';
import { CopyError } from '../../../src/errors.ts';

const entry = (kind: TarEntry['kind'], path: string): TarEntry => ({
  ...{ kind, path, mode: 0o755, uid: 0, gid: 0, mtime: '0', size: 0, link: '', attributes: new Map() },
});

describe('the checks of a copy up', () => {
  it('keep no more than 256 MiB of paths', () => {
    const checker = new EntryChecker({}, () => {});
    checker.check(entry('directory', './'));
    let directory = '.';
    for (let i = 0; i < 15; i += 1) {
      directory += `/${'d'.repeat(250)}`;
      checker.check(entry('directory', directory));
    }
    let bytes = 0;
    assert.throws(
      () => {
        // A million entries, which are allowed, would be 3.7 GB.
        for (let i = 0; i < 100_000; i += 1) {
          const { path } = checker.check(entry('file', `${directory}/f${i}`));
          bytes += path.length;
        }
      },
      (error) => error instanceof CopyError && error.code === 'TOO_LONG_PATHS' && error.remedy !== undefined,
    );
    assert.ok(bytes > 255 * 2 ** 20 && bytes <= 256 * 2 ** 20, String(bytes));
  });
});
