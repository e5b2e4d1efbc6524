import assert from 'node:assert/strict';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../../src/log.ts';
import { builtTree, fileIn } from '../../../src/test-runner/tree.ts';

describe("a package's tree that a build has written", () => {
  let folder: string;
  let tree: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-tree-'));
    tree = join(folder, 'given');
    mkdirSync(join(tree, 'debian'), { recursive: true });
    mkdirSync(join(folder, 'driver'));
    writeFileSync(join(folder, 'secret'), 'of the host');
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const built = () => builtTree({ tree, server: ['server'], folder: join(folder, 'driver') }, silentLog);

  it('has no file of the host, by whatever link', () => {
    symlinkSync('../../secret', join(tree, 'debian/control'));
    symlinkSync(folder, join(tree, 'away'));
    assert.equal(fileIn(tree, 'debian/control'), undefined);
    assert.equal(fileIn(tree, 'away/secret'), undefined);
    assert.equal(fileIn(tree, 'debian'), undefined);
    writeFileSync(join(tree, 'debian/control.in'), '');
    symlinkSync('debian/control.in', join(tree, 'control'));
    assert.equal(fileIn(tree, 'control'), join(tree, 'debian/control.in'));
  });

  it('gets the mark of a built one in a copy alone, and no file elsewhere', async () => {
    const victim = join(folder, 'victim');
    writeFileSync(join(tree, 'debian/control'), '');
    symlinkSync(victim, join(tree, 'debian/files'));
    const { tree: own } = await built();
    assert.equal(own, join(folder, 'driver/tree'));
    assert.ok(lstatSync(join(own, 'debian/files')).isFile());
    assert.ok(lstatSync(join(tree, 'debian/files')).isSymbolicLink());
    assert.equal(existsSync(victim), false);
  });

  it('gets none where its directory debian is elsewhere', async () => {
    const elsewhere = join(folder, 'elsewhere');
    mkdirSync(elsewhere);
    writeFileSync(join(elsewhere, 'control'), '');
    rmSync(join(tree, 'debian'), { recursive: true });
    symlinkSync(elsewhere, join(tree, 'debian'));
    assert.equal((await built()).tree, tree);
    assert.deepEqual(readdirSync(elsewhere), ['control']);
  });
});
