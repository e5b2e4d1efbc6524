import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { copyOut } from '../../../src/copy/copy.ts';
import { CopyError } from '../../../src/errors.ts';
import { silentLog } from '../../../src/log.ts';
import { HostTestbed } from './host-testbed.ts';
import { HOSTILE } from './hostile-corpus.ts';
import { describeTree } from './trees.ts';

describe('a hostile tar in the testbed', () => {
  let folder: string;
  const path = (name: string): string => join(folder, name);

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
    for (const name of ['bin', 'canary', 'canary/empty', 'source', 'canary/source']) mkdirSync(path(name));
    writeFileSync(path('canary/file'), 'sings\n', { mode: 0o640 });
    // It answers as GNU tar to whoever asks what it can, and then sends what it likes.
    writeFileSync(
      path('bin/tar'),
      `#!/bin/sh\ncase "$*" in *"-T /dev/null"*) exit 0 ;; esac\nexec /bin/cat '${path('archive')}'\n`,
      { mode: 0o755 },
    );
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  for (const existing of [false, true]) {
    describe(existing ? 'against a directory that is there' : 'against a new directory', () => {
      for (const { what, bytes, says, maxBytes, maxEntries } of HOSTILE) {
        it(`gets nothing done by ${what}`, async () => {
          if (existing) {
            mkdirSync(path('to'));
            writeFileSync(path('to/a'), 'mine\n');
          }
          writeFileSync(path('archive'), bytes(path('canary')));
          const before = describeTree(Buffer.from(folder));
          const testbed = new HostTestbed(`${path('bin')}:${process.env.PATH}`);
          await assert.rejects(
            copyOut(testbed, Buffer.from(`${path('source')}/`), Buffer.from(`${path('to')}/`), {
              log: silentLog,
              timeout: 20,
              ...(maxBytes === undefined ? {} : { maxBytes }),
              ...(maxEntries === undefined ? {} : { maxEntries }),
            }),
            (error) =>
              error instanceof CopyError && says.test(error.message) && !/\p{Cc}/u.test(error.message),
          );
          // The time of a directory changes when the staging directory comes and goes.
          const lasting = (lines: string[]): string[] =>
            lines.filter((line) => !line.startsWith('["."') && !line.startsWith('["./to",'));
          assert.deepEqual(lasting(describeTree(Buffer.from(folder))), lasting(before));
          assert.equal(existsSync(path('to')), existing);
          assert.deepEqual(
            readdirSync(folder).filter((name) => name.startsWith('.')),
            [],
          );
        });
      }
    });
  }

  const out = (timeout = 20): Promise<void> =>
    copyOut(
      new HostTestbed(`${path('bin')}:${process.env.PATH}`),
      Buffer.from(`${path('source')}/`),
      Buffer.from(`${path('to')}/`),
      { log: silentLog, timeout },
    );
  const hostile = (text: string): void => {
    writeFileSync(path('bin/tar'), `#!/bin/sh\n${text}\n`);
    chmodSync(path('bin/tar'), 0o755);
  };

  it('that fails says why, without control characters', async () => {
    hostile("printf '\\033[2Jred\\r\\nalert' >&2; exit 3");
    await assert.rejects(out(), (error) => {
      assert.ok(error instanceof CopyError);
      assert.match(error.message, /\\033\[2Jred; alert$/);
      return true;
    });
  });

  it('that talks without end on stderr costs no memory and nothing else', async () => {
    hostile('/usr/bin/head -c 50000000 /dev/zero >&2; exit 3');
    const before = process.memoryUsage().rss;
    await assert.rejects(out(), CopyError);
    assert.ok(process.memoryUsage().rss - before < 50e6);
  });
});
