/** The tar of a real testbed sends what it likes: every archive of the corpus, and nothing changes on the host. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Provider } from '../../../src/testbed/provider.ts';
import type { OpenTestbed } from '../../../src/testbed/types.ts';
import { script, testProvider } from '../../support/testbed.ts';
import { archive, END, raw, TOP } from '../../unit/archive/archives.ts';
import { HOSTILE, type HostileArchive } from '../../unit/copy/hostile-corpus.ts';
import { describeTree } from '../../unit/copy/trees.ts';

/** Those that need no limits of their own, which belong to the provider. */
const CORPUS: readonly HostileArchive[] = [
  ...HOSTILE.filter(({ maxBytes, maxEntries }) => maxBytes === undefined && maxEntries === undefined),
  {
    what: 'a name with the codes of a terminal',
    bytes: () => archive(raw({ type: '6', name: '\x1b]0;owned\x07\x1b[2J' })),
    says: /\\033\]0;owned\\007\\033\[2J.*fifo/,
  },
  {
    what: 'a name in another direction',
    bytes: () => archive(raw({ type: '6', name: 'a\u202egnp.sh' })),
    says: /a\\342\\200\\256gnp\.sh.*fifo/,
  },
  {
    what: 'a hard link to a link that leads outside, and then a file over it',
    bytes: (canary) =>
      archive(
        raw({ type: '2', name: 'l', link: `${canary}/file` }),
        raw({ type: '1', name: 'h', link: 'l' }),
        raw({ name: 'h', data: 'evil' }),
      ),
    says: /h.*is in the archive twice/,
  },
  {
    what: 'a good part before the bad one',
    bytes: () =>
      archive(raw({ name: 'good', data: 'x'.repeat(100_000) }), raw({ name: '../bad', data: 'x' })),
    says: /\.\.\/bad.*upwards/,
  },
  {
    what: 'more bytes than are allowed',
    bytes: () => Buffer.concat([TOP, raw({ name: 'bomb', size: 2 ** 32 })]),
    says: /more than 5000000 bytes/,
  },
  {
    what: 'more files than are allowed',
    bytes: () => Buffer.concat([TOP, ...Array.from({ length: 300 }, (_, i) => raw({ name: `f${i}` })), END]),
    says: /more than 200 files.*f199/,
  },
];

describe('a hostile tar in a testbed', function () {
  this.timeout(60_000);
  let provider: Provider;
  let testbed: OpenTestbed;
  const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
  const path = (name: string): string => join(folder, name);
  before(async () => {
    provider = testProvider({ maxCopyBytes: 5_000_000, maxCopyEntries: 200 });
    testbed = await provider.open();
    for (const name of ['archives', 'canary', 'canary/empty', 'canary/t', 'to', 'to/sub'])
      mkdirSync(path(name));
    writeFileSync(path('canary/file'), 'sings\n', { mode: 0o640 });
    writeFileSync(path('to/mine'), 'mine\n');
    symlinkSync('../canary', path('to/l'));
    for (const [i, { bytes }] of CORPUS.entries()) {
      mkdirSync(path(`archives/${i}`));
      writeFileSync(path(`archives/${i}/archive`), bytes(path('canary')));
    }
    const scratch = Buffer.from(`${testbed.scratchDirectory}/`);
    await testbed.copyIn(Buffer.from(`${path('archives')}/`), scratch);
    rmSync(path('archives'), { recursive: true });
    // It works in the directory that is copied, which has the archive to send.
    const text = `tar=$(command -v tar); rm "$tar"
cat >"$tar" <<'END'
#!/bin/sh
case "$*" in *"-T /dev/null"*) exit 0 ;; esac
exec cat archive
END
chmod 755 "$tar"`;
    assert.equal((await script(testbed, text)).status, 0);
  });
  after(async () => {
    await provider.dispose();
    rmSync(folder, { recursive: true });
  });

  /** Without the times of the two directories in which the staging directory came and went. */
  const state = (): string[] =>
    describeTree(Buffer.from(folder)).map((line) =>
      line.replace(/^(\["\.(?:\/to)?","\d+","\d+:\d+",)"\d+"/, '$1'),
    );

  for (const [i, { what, says }] of CORPUS.entries()) {
    it(`gets nothing done by ${what}`, async () => {
      const before = state();
      const from = Buffer.from(`${testbed.scratchDirectory}/${i}/`);
      for (const to of ['new/', 'to/']) {
        await assert.rejects(testbed.copyOut(from, Buffer.from(`${folder}/${to}`)), (error) => {
          assert.ok(error instanceof Error);
          assert.equal(error.name, 'CopyError');
          assert.match(error.message, says);
          assert.doesNotMatch(error.message, /[\p{C}]/u);
          return true;
        });
        assert.deepEqual(state(), before);
      }
      assert.deepEqual(readdirSync(folder).sort(), ['canary', 'to']);
    });
  }

  it('leaves no file open by all that', async () => {
    const openFiles = (): number => readdirSync('/proc/self/fd').length;
    const from = (i: number): Buffer => Buffer.from(`${testbed.scratchDirectory}/${i}/`);
    const before = openFiles();
    for (let i = 0; i < 20; i += 1)
      await assert.rejects(testbed.copyOut(from(i), Buffer.from(`${folder}/new/`)));
    // Pipes are closed a moment after their processes have ended.
    while (openFiles() > before) await delay(20);
  });
});
