import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { silentLog } from '../../../src/log.ts';
import { placeLayer } from '../../../src/rootfs/layers.ts';
import { BaseCache } from '../../support/bases.ts';
import { fakeHolder } from '../../support/fake-holder.ts';

describe('a committed layer', () => {
  let made: BaseCache;
  const { PATH } = process.env;
  beforeEach(() => {
    made = new BaseCache();
  });
  afterEach(() => {
    process.env.PATH = PATH;
    made.remove();
  });

  /** Makes a layer of a tree, with a `sync` that is this script. */
  const place = (sync: string) => {
    const [upper, programs] = [join(made.folder, 'upper'), join(made.folder, 'programs')];
    mkdirSync(upper);
    mkdirSync(programs);
    writeFileSync(join(programs, 'sync'), `#!/bin/sh\n${sync}\n`, { mode: 0o755 });
    process.env.PATH = `${programs}:${PATH}`;
    const source = { upper, parent: 'base', binds: [] };
    return placeLayer(source, { holder: fakeHolder, cache: made.cache, log: silentLog });
  };

  it('is written to disk with its record, without which it would be removed', async () => {
    await place(`ls "$2" >'${made.folder}/synced'`);
    const synced = readFileSync(join(made.folder, 'synced'), 'utf8');
    assert.deepEqual(synced.trim().split('\n'), ['base.json', 'settled', 'tree', 'users']);
  });

  it('that cannot be written to disk leaves nothing', async () => {
    await assert.rejects(place('echo "sync: No space left on device" >&2; exit 1'), { code: 'CACHE_FULL' });
    assert.deepEqual([...readdirSync(made.cache.bases), ...readdirSync(made.cache.locks)], []);
  });
});
