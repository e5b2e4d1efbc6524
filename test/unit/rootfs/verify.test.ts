import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Argv } from '../../../src/host.ts';
import { silentLog } from '../../../src/log.ts';
import { listBases } from '../../../src/rootfs/prune.ts';
import { verifyBase } from '../../../src/rootfs/verify.ts';
import { BaseCache } from '../../support/bases.ts';
import { fakeHolder } from '../../support/fake-holder.ts';

describe('the comparison of a base with its tarball', () => {
  let made: BaseCache;
  beforeEach(async () => {
    made = new BaseCache();
    await (await made.use()).release();
  });
  afterEach(() => made.remove());

  const verify = (enter: (argv: Argv) => Argv) => {
    const [base] = listBases(made.cache);
    assert.ok(base !== undefined);
    return verifyBase(base, { ...fakeHolder, enter }, made.cache, silentLog);
  };

  it('finds nothing different', async () => {
    assert.deepEqual(await verify((argv) => argv), { kind: 'same' });
  });

  it('does not take for a difference what another tar has written beside', async () => {
    const tarball = made.makeTarball('keyword.tar', 'two');
    const tree = join(made.folder, 'tree');
    mkdirSync(tree);
    execFileSync('tar', ['-xf', tarball, '-C', tree]);
    const keyword = ['--format=posix', '--pax-option=LIBARCHIVE.creationtime:=1700000000'];
    execFileSync('tar', [...keyword, '-cf', made.tarball, '-C', tree, '.']);
    await (await made.use()).release();
    assert.deepEqual(await verify((argv) => argv), { kind: 'same' });
  });

  it('is no result when tar was killed', async () => {
    const killed = verify(() => ['sh', '-c', 'kill -9 $$']);
    await assert.rejects(killed, { code: 'TOOL_FAILED', message: /comparing with .*a\.tar failed: .*137/ });
  });

  it('is not possible without the tarball', async () => {
    rmSync(made.tarball);
    assert.deepEqual(await verify((argv) => argv), {
      kind: 'unknown',
      why: `its tarball ${made.tarball} is gone`,
    });
  });
});
