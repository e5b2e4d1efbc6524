/** FUSE file systems in the testbed whose daemon never answers, so that no signal ends who waits for it, or is odd otherwise. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandTimeoutError } from '../../../src/errors.ts';
import type { Provider } from '../../../src/testbed/provider.ts';
import type { OpenTestbed } from '../../../src/testbed/types.ts';
import { waitUntil } from '../../../src/wait.ts';
import { FUSE, QUESTIONS } from '../../support/inside.ts';
import { patience } from '../../support/patience.ts';
import { processTree } from '../../support/processes.ts';
import { script, testProvider } from '../../support/testbed.ts';

describe('a FUSE file system of the testbed', function () {
  this.timeout(60_000);
  let provider: Provider;
  let testbed: OpenTestbed;
  let folder: string;
  before(async () => {
    provider = testProvider({ binds: [{ outside: '/dev/fuse', inside: '/dev/fuse' }], copyTimeout: 2 });
    testbed = await provider.open();
  });
  after(() => provider.dispose());
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-fuse-'));
    mkdirSync(join(folder, 'tree'));
    writeFileSync(join(folder, 'tree/file'), 'x');
    await testbed.revert();
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const inside = (name: string): Buffer => Buffer.from(`/mnt/fuse/${name}`);
  const host = (name: string): Buffer => Buffer.from(join(folder, name));
  async function mountFuse(question: number | string): Promise<void> {
    const { status, stderr } = await script(testbed, `${FUSE} fuse /mnt/fuse ${question}`, { timeout: 20 });
    assert.equal(status, 0, stderr);
  }

  for (const [what, question, copy] of [
    ['up of a file that cannot be looked at', QUESTIONS.lookup, () => up('file', 'new')],
    ['up of a file that cannot be opened', QUESTIONS.open, () => up('file', 'new')],
    ['up of a file that our end cannot open', `${QUESTIONS.open}/1`, () => up('file', 'new')],
    ['up of a file that our end cannot read', QUESTIONS.read, () => up('file', 'new')],
    ['up of a directory', QUESTIONS.getattr, () => up('', 'new/')],
    ['down to a file that cannot be opened', QUESTIONS.open, () => down('tree/file', 'file')],
    ['down to a file that our end cannot open', `${QUESTIONS.open}/1`, () => down('tree/file', 'file')],
    ['down to a directory', QUESTIONS.lookup, () => down('tree/', 'tree/')],
  ] as const) {
    it(`holds up no copy ${what} for longer than its time`, async () => {
      await mountFuse(question);
      const before = new Set(processTree(process.pid).map(({ pid }) => pid));
      const begin = performance.now();
      await assert.rejects(copy(), { name: 'CopyTimeoutError' });
      assert.ok(performance.now() - begin < patience(8_000));
      // The next incarnation may be made ahead meanwhile.
      const left = processTree(process.pid).filter(
        ({ pid, command }) => !before.has(pid) && command !== 'virt-ts-unshare set-up',
      );
      assert.deepEqual(left, []);
      assert.deepEqual(readdirSync(folder), ['tree']);
      assert.equal((await script(testbed, 'echo fine')).stdout, 'fine\n');
    });
  }

  it('holds up no command for longer than its time', async () => {
    await mountFuse(QUESTIONS.open);
    const begin = performance.now();
    await assert.rejects(script(testbed, 'cat /mnt/fuse/file', { timeout: 1 }), CommandTimeoutError);
    assert.ok(performance.now() - begin < patience(8_000));
  });

  it('does not hold up a close in the middle of a copy', async () => {
    const own = await provider.open();
    const { status, stderr } = await script(own, `${FUSE} fuse /mnt/fuse ${QUESTIONS.read}`);
    assert.equal(status, 0, stderr);
    const copy = own.copyOut(inside('file'), host('new'));
    const failed = assert.rejects(copy, { name: /^(Copy|Testbed)Error$/ });
    const reads = () => processTree(process.pid).some(({ command }) => /\/helper-\w+ copy /.test(command));
    assert.ok(await waitUntil(reads, patience(10_000)));
    const begin = performance.now();
    await own.close();
    assert.ok(performance.now() - begin < patience(8_000));
    await failed;
    assert.deepEqual(readdirSync(folder), ['tree']);
  });

  it('loses nothing of a long file that keeps no count of what was read', async () => {
    await mountFuse('stream');
    await up('file', 'new');
    assert.ok(readFileSync(join(folder, 'new')).equals(Buffer.alloc(20 * 1024 ** 2, 'x')));
  });

  function up(from: string, to: string): Promise<void> {
    return testbed.copyOut(inside(from), host(to));
  }

  function down(from: string, to: string): Promise<void> {
    return testbed.copyIn(host(from), inside(to));
  }
});
