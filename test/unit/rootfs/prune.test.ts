import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Argv } from '../../../src/host.ts';
import { silentLog } from '../../../src/log.ts';
import { findCommitted, recordPath } from '../../../src/rootfs/committed.ts';
import { DEFAULT_LIMITS, listBases, NO_LIMITS, prune } from '../../../src/rootfs/prune.ts';
import { readRecord } from '../../../src/rootfs/record.ts';
import { BaseCache, textIn } from '../../support/bases.ts';
import { fakeHolder } from '../../support/fake-holder.ts';
import { withoutDescriptors } from '../../support/no-descriptors.ts';

describe('pruning', () => {
  let made: BaseCache;
  beforeEach(() => {
    made = new BaseCache();
  });
  afterEach(() => made.remove());

  const folderOf = async (): Promise<string> => {
    const base = await made.use();
    await base.release();
    return join(base.path, '../..');
  };

  it('does not take the removal of the mark of a killed process for a use', async () => {
    const users = join(await folderOf(), 'users');
    writeFileSync(join(users, '1.1.1.00000000.1'), '');
    utimesSync(users, 1, 1);
    assert.equal(listBases(made.cache)[0]?.lastUsed, 1000);
    assert.equal(listBases(made.cache)[0]?.lastUsed, 1000);
    writeFileSync(join(users, '1.1.1.00000000.1'), '');
    utimesSync(users, 1, 1);
    assert.equal((await prune(made.cache, fakeHolder, silentLog, DEFAULT_LIMITS)).length, 1);
  });

  it('does its work where a tarball cannot be looked at', async () => {
    await folderOf();
    symlinkSync('loop', join(made.folder, 'loop'));
    writeFileSync(join(made.cache.tarballs, 'x.json'), JSON.stringify({ path: join(made.folder, 'loop') }));
    assert.equal((await prune(made.cache, fakeHolder, silentLog, NO_LIMITS)).length, 1);
  });

  it('and unpacking are not disturbed by what cannot be removed', async () => {
    const left = join(made.cache.bases, `.old-${'0'.repeat(32)}-${fakeHolder.idMap.key}.1.1`);
    mkdirSync(join(left, 'tree/root'), { recursive: true });
    const holder = {
      ...fakeHolder,
      enter: (argv: Argv): Argv => (argv.some((word) => word.startsWith(left)) ? ['false'] : argv),
    };
    const base = await made.use(made.tarball, holder);
    assert.equal(textIn(base), 'one');
    await base.release();
    assert.equal((await prune(made.cache, holder, silentLog, NO_LIMITS)).length, 1);
  });

  it('never takes what this process cannot read now for damaged', async () => {
    const folder = await folderOf();
    const record = { layer: 'x', parent: 'y', tarball: 'z', made: '', size: 1 };
    writeFileSync(recordPath(made.cache.images, 'own-amd64'), JSON.stringify(record));
    withoutDescriptors(() => {
      assert.throws(() => readRecord(folder), { code: 'EMFILE', remedy: /ulimit -n/ });
      assert.throws(() => findCommitted(made.cache, 'own-amd64'), { code: 'EMFILE', remedy: /ulimit -n/ });
    });
    assert.equal(findCommitted(made.cache, 'own-amd64')?.layer, 'x');
  });
});
