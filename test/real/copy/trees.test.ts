/**
 * Random trees, down into a testbed and up again, compared with what cp -a keeps. COPY_TREES is their number (default
 * 40; `npm run copy-trees` makes 500), COPY_SEED which (default: of the clock, and printed).
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Provider } from '../../../src/testbed/provider.ts';
import type { OpenTestbed } from '../../../src/testbed/types.ts';
import { randomFrom } from '../../support/random.ts';
import { script, testProvider } from '../../support/testbed.ts';
import { describeTree, diskUse, makeRandomTree } from '../../unit/copy/trees.ts';

const COUNT = Number(process.env.COPY_TREES ?? 40);
const SEED = Number(process.env.COPY_SEED ?? Date.now() % 1e9);

describe(`copying ${COUNT} random trees (COPY_SEED=${SEED})`, function () {
  this.timeout(600_000);
  let provider: Provider;
  let testbed: OpenTestbed;
  const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-copy-'));
  before(async () => {
    provider = testProvider();
    testbed = await provider.open();
  });
  after(async () => {
    await provider.dispose();
    execFileSync('sh', ['-c', 'chmod -R u+rwx "$1"; rm -rf "$1"', 'sh', folder]);
  });

  it('brings back what cp -a would have kept', async () => {
    for (let i = 0; i < COUNT; i += 1) {
      const seed = SEED + i;
      const random = randomFrom(seed);
      const base = join(folder, String(i));
      mkdirSync(base);
      const path = (name: string): Buffer => Buffer.from(`${base}/${name}`);
      makeRandomTree(path('made'), random);
      execFileSync('cp', ['-a', `${base}/made`, `${base}/kept`]);
      const before = describeTree(path('made'));
      assert.deepEqual(describeTree(path('kept')), before, 'cp -a itself');
      const inside = Buffer.from(`${testbed.scratchDirectory}/${i}/`);
      await testbed.copyIn(path('made/'), inside);
      // One in four into a directory that is there.
      if (random() < 0.25) mkdirSync(path('back'));
      await testbed.copyOut(inside, path('back/'));
      assert.deepEqual(describeTree(path('back')), before, `seed ${seed}`);
      const [kept, back] = [diskUse(path('kept')), diskUse(path('back'))];
      assert.ok(back <= kept * 1.1 + 300_000, `seed ${seed}: ${back} bytes on disk, cp -a ${kept}`);
      execFileSync('sh', ['-c', 'chmod -R u+rwx "$1"; rm -rf "$1"', 'sh', base]);
    }
    assert.equal((await script(testbed, `find ${testbed.scratchDirectory} ! -user root | head`)).stdout, '');
  });
});
