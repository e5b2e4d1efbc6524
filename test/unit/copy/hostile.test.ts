import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { copyOut } from '../../../src/copy/copy.ts';
import { CopyError } from '../../../src/errors.ts';
import { silentLog } from '../../../src/log.ts';
import { useFolder } from './copying.ts';
import type { HostTestbed } from './host-testbed.ts';
import { HOSTILE } from './hostile-corpus.ts';
import { describeTree } from './trees.ts';

describe('a hostile tar in the testbed', () => {
  const { path, withTar } = useFolder();
  let testbed: HostTestbed;

  beforeEach(() => {
    for (const name of ['canary', 'canary/empty', 'source', 'canary/source']) mkdirSync(path(name));
    writeFileSync(path('canary/file'), 'sings\n', { mode: 0o640 });
    testbed = withTar(`exec /bin/cat '${path('archive')}'`);
  });

  for (const existing of [false, true]) {
    describe(existing ? 'against a directory that is there' : 'against a new directory', () => {
      for (const { what, bytes, says, maxBytes, maxEntries } of HOSTILE) {
        it(`gets nothing done by ${what}`, async () => {
          if (existing) {
            mkdirSync(path('to'));
            writeFileSync(path('to/a'), 'mine\n');
          }
          writeFileSync(path('archive'), bytes(path('canary')));
          const before = describeTree(Buffer.from(path('')));
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
          assert.deepEqual(lasting(describeTree(Buffer.from(path('')))), lasting(before));
          assert.equal(existsSync(path('to')), existing);
          assert.deepEqual(
            readdirSync(path('')).filter((name) => name.startsWith('.')),
            [],
          );
        });
      }
    });
  }

  const out = (timeout = 20): Promise<void> =>
    copyOut(testbed, Buffer.from(`${path('source')}/`), Buffer.from(`${path('to')}/`), {
      log: silentLog,
      timeout,
    });
  const hostile = (text: string): void => {
    writeFileSync(path('bin/tar'), `#!/bin/sh\n${text}\n`);
    chmodSync(path('bin/tar'), 0o755);
  };

  it('that fails is reported without control characters', async () => {
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
