import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UsageError } from '../../../src/errors.ts';
import { Ledger } from '../../../src/network/ledger.ts';
import { type Claim, Claims } from '../../../src/processes/claims.ts';
import { thisProcess } from '../../../src/processes/identity.ts';
import { register, registered } from '../../../src/processes/open-testbeds.ts';
import { runtimeFolder } from '../../../src/processes/runtime-folder.ts';

const own = () => ({ owner: thisProcess() });
const gone = () => ({ owner: { ...thisProcess(), startTime: '1' } });

describe('claims', () => {
  let folder: string;
  let runtime: string | undefined;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'vtu-claims-'));
    runtime = process.env.XDG_RUNTIME_DIR;
    process.env.XDG_RUNTIME_DIR = folder;
  });
  afterEach(() => {
    if (runtime === undefined) delete process.env.XDG_RUNTIME_DIR;
    else process.env.XDG_RUNTIME_DIR = runtime;
    rmSync(folder, { recursive: true });
  });

  it('give a name to one living process only, and that of an ended one to the next', () => {
    const claims = new Claims(folder);
    assert.ok(claims.claim('name', own()));
    assert.ok(!claims.claim('name', own()));
    claims.update('name', gone());
    assert.ok(claims.claim('name', own()));
    claims.remove('name');
    assert.equal(claims.read('name'), undefined);
  });

  it('give the name of an ended process to one of two that see its end at once', () => {
    /** Between its first look at the file and what it does then, another process claims the name. */
    class Slow extends Claims {
      other: boolean | undefined;
      override read(name: string): Claim | undefined {
        const found = super.read(name);
        this.other ??= new Claims(folder).claim(name, own());
        return found;
      }
    }
    const slow = new Slow(folder);
    slow.update('name', gone());
    assert.equal(slow.claim('name', own()), false);
    assert.equal(slow.other, true);
  });

  it('list and keep the living, and sweep what the ended left', () => {
    const claims = new Claims(folder);
    claims.claim('b', own());
    claims.claim('a', own());
    claims.update('c', gone());
    writeFileSync(join(folder, '.d.json.1.1.new'), '{"own');
    assert.deepEqual(claims.names(), ['a', 'b']);
    const swept: string[] = [];
    claims.sweep((name) => swept.push(name));
    assert.deepEqual(swept, ['c']);
    assert.deepEqual(claims.names(), ['a', 'b']);
    assert.deepEqual(
      readdirSync(folder)
        .filter((name) => name !== '.lock')
        .sort(),
      ['a.json', 'b.json'],
    );
  });

  it('are not blocked by an empty file, as after a crash', () => {
    for (const text of ['', '{"owner"', '[]', '{"owner":{}}']) {
      writeFileSync(join(folder, 'name.json'), text);
      const claims = new Claims(folder);
      assert.ok(claims.claim('name', own()), text);
      claims.remove('name');
    }
  });

  it('have no name that leads elsewhere', () => {
    for (const name of ['../name', '', '.name', 'a/b']) {
      assert.throws(() => new Claims(folder).claim(name, own()), { code: 'WRONG_NAME' }, name);
    }
  });

  it('of a laboratory leave the open testbeds alone, whatever its name is', () => {
    const testbed = { ...thisProcess(), name: 'box', since: 1, root: '', scratch: '', ownNetwork: false };
    const strike = register({ ...testbed, owner: process.pid }, process.env);
    for (const name of ['testbeds', 'laboratories', 'a', 'a.json', 'a.lab']) {
      const ledger = Ledger.enter(name, { ...own(), keeper: thisProcess() });
      const { release } = ledger.declare('host', []);
      assert.equal(registered(process.env).filter(({ pid }) => pid === process.pid).length, 1, name);
      assert.deepEqual(Ledger.find(name).members().length, 1);
      release();
    }
    for (const name of ['testbeds', 'a.json', 'a']) Ledger.find(name).remove();
    assert.ok(Ledger.find('a.lab'));
    assert.equal(registered(process.env).filter(({ pid }) => pid === process.pid).length, 1);
    strike();
  });

  it('of a laboratory that has ended go with all that belongs to it', () => {
    const ledger = Ledger.enter('old', { ...gone(), keeper: thisProcess() });
    ledger.enterNetwork('lan', { ...own(), subnets: [], bridge: 'b' });
    const all = join(runtimeFolder(process.env), 'laboratories');
    assert.ok(existsSync(join(all, 'old.lab')));
    Ledger.sweep();
    assert.deepEqual(
      readdirSync(all).filter((name) => name !== '.lock'),
      [],
    );
  });
});

describe('the directory of what is open', () => {
  it('is private to this user', () => {
    const folder = mkdtempSync(join(tmpdir(), 'vtu-runtime-'));
    const env = { XDG_RUNTIME_DIR: folder };
    try {
      assert.equal(runtimeFolder(env), join(folder, 'virt-ts-unshare'));
      chmodSync(folder, 0o755);
      assert.match(runtimeFolder(env), /^\/tmp\/virt-ts-unshare-\d+$/);
      chmodSync(folder, 0o700);
      rmSync(join(folder, 'virt-ts-unshare'), { recursive: true });
      mkdirSync(join(folder, 'virt-ts-unshare'), { mode: 0o700 });
      chmodSync(join(folder, 'virt-ts-unshare'), 0o777);
      assert.throws(() => runtimeFolder(env), UsageError);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
