import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UsageError } from '../../../src/errors.ts';
import { Registry, registryFolder } from '../../../src/network/registry.ts';
import { thisProcess } from '../../../src/processes/identity.ts';

describe('the registry', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'vtu-registry-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const ours = () => ({ owner: thisProcess() });
  const gone = () => ({ owner: { ...thisProcess(), startTime: '1' } });

  it('gives a name to one living process only, and that of a dead one to the next', () => {
    const registry = new Registry(folder);
    assert.ok(registry.claim('name', ours()));
    assert.ok(!registry.claim('name', ours()));
    registry.update('name', gone());
    assert.ok(registry.claim('name', ours()));
    registry.remove('name');
    assert.equal(registry.read('name'), undefined);
  });

  it('lists and keeps the living, and sweeps the dead', () => {
    const registry = new Registry(folder);
    registry.claim('b', ours());
    registry.claim('a', ours());
    registry.update('c', gone());
    assert.deepEqual(registry.names(), ['a', 'b']);
    assert.deepEqual(registry.sweep(), ['c']);
    assert.deepEqual(registry.names(), ['a', 'b']);
  });

  it('takes a file that is being written for one of the living', () => {
    const registry = new Registry(folder);
    writeFileSync(join(folder, 'name.json'), '{"owner"');
    assert.ok(!registry.claim('name', ours()));
    assert.deepEqual(registry.sweep(), []);
  });

  it('takes no name that leads elsewhere', () => {
    for (const name of ['../name', '', '.name', 'a/b']) {
      assert.throws(() => new Registry(folder).claim(name, ours()), UsageError, name);
    }
  });

  it('lies in a private folder of our own', () => {
    assert.equal(registryFolder({ XDG_RUNTIME_DIR: folder }), join(folder, 'virt-ts-unshare'));
    chmodSync(folder, 0o755);
    assert.match(registryFolder({ XDG_RUNTIME_DIR: folder }), /^\/tmp\/virt-ts-unshare-\d+$/);
    chmodSync(folder, 0o700);
    rmSync(join(folder, 'virt-ts-unshare'), { recursive: true });
    mkdirSync(join(folder, 'virt-ts-unshare'), { mode: 0o700 });
    chmodSync(join(folder, 'virt-ts-unshare'), 0o777);
    assert.throws(() => registryFolder({ XDG_RUNTIME_DIR: folder }), UsageError);
  });
});
