import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mergeParts } from '../../../src/test-runner/merge.ts';
import { packagesOfTest } from '../../../src/test-runner/packages.ts';
import { logOfDriver, testInfo } from '../../../src/test-runner/record.ts';

describe('output directories of drivers', () => {
  let folder: string;
  let target: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-merge-'));
    target = join(folder, 'target');
    mkdirSync(target);
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const part = (name: string, files: Readonly<Record<string, string>>) => {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(join(folder, name, path, '..'), { recursive: true });
      writeFileSync(join(folder, name, path), text);
    }
    return { folder: join(folder, name), names: [name], prepared: false };
  };

  it('become one, with the artifacts of all', () => {
    const parts = [
      part('a', { 'a-stdout': 'A', 'artifacts/both': '1', 'artifacts/dir/a': 'a', summary: 'x' }),
      part('b', { 'b-stdout': 'B', 'artifacts/both': '2', 'artifacts/dir/b': 'b' }),
    ];
    mergeParts(parts, target);
    assert.deepEqual(readdirSync(target).sort(), ['a-stdout', 'artifacts', 'b-stdout']);
    assert.equal(readFileSync(join(target, 'artifacts/both'), 'utf8'), '2');
    assert.deepEqual(readdirSync(join(target, 'artifacts/dir')), ['a', 'b']);
  });

  it('are put together without following a link that a test has left', () => {
    mkdirSync(join(folder, 'outside'));
    const one = part('a', { 'artifacts/file': '' });
    symlinkSync(join(folder, 'outside'), join(folder, 'a/artifacts/dir'));
    mergeParts([one, part('b', { 'artifacts/dir/evil': 'x' })], target);
    assert.deepEqual(readdirSync(join(folder, 'outside')), []);
    assert.ok(lstatSync(join(target, 'artifacts/dir')).isDirectory());
    assert.ok(existsSync(join(target, 'artifacts/dir/evil')));
  });

  it('keep the modes of directories that their owner may not write', () => {
    const parts = [
      part('a', { 'artifacts/dir/a': 'a' }),
      part('b', { 'artifacts/dir/b': 'b', 'artifacts/own/x': '' }),
    ];
    for (const path of ['a/artifacts/dir', 'b/artifacts/dir', 'b/artifacts/own'])
      chmodSync(join(folder, path), 0o555);
    mergeParts(parts, target);
    const modes = ['dir', 'own'].map((name) => lstatSync(join(target, 'artifacts', name)).mode & 0o777);
    for (const name of ['dir', 'own']) chmodSync(join(target, 'artifacts', name), 0o755);
    assert.deepEqual(modes, [0o555, 0o555]);
    assert.deepEqual(readdirSync(join(target, 'artifacts/dir')), ['a', 'b']);
  });

  it('take names with any bytes', () => {
    const name = Buffer.from('artifacts/dir/caf\xe9', 'latin1');
    const parts = [part('a', { 'artifacts/dir/a': '' }), part('b', { 'artifacts/dir/b': '' })];
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/b/`), name]), 'bytes');
    mergeParts(parts, target);
    assert.equal(readFileSync(Buffer.concat([Buffer.from(`${target}/`), name]), 'utf8'), 'bytes');
  });
});

describe('the packages of a test', () => {
  it('are those that the pristine testbed has not, also when they were in the image', () => {
    const pristine = 'base\t1\nlibc\t2\n';
    const opened = 'apt-utils\t3\nbase\t1\ndep\t4\nlibc\t2\n';
    assert.equal(packagesOfTest('extra\t5\n', opened, pristine), 'apt-utils\t3\ndep\t4\nextra\t5\n');
  });
});

describe('the log of a driver', () => {
  it('has neither debug messages nor a summary of its own', () => {
    const log = [
      'autopkgtest [10:00:00]: version 5.28',
      'autopkgtest: DBG: testbed init',
      'one                  PASS',
      'autopkgtest [10:00:09]: @@@@@@@@@@@@@@@@@@@@ summary',
      'one                  PASS',
      '',
    ].join('\n');
    const expected = 'autopkgtest [10:00:00]: version 5.28\none                  PASS\n';
    assert.equal(logOfDriver(log, 'one                  PASS\n'), expected);
  });

  it('stays whole when a test prints the line of a summary', () => {
    const log = 'autopkgtest [10:00:09]: @@@@@@@@@@@@@@@@@@@@ summary\noutput\nend\n';
    assert.equal(logOfDriver(log, 'one                  PASS\n'), log);
  });
});

describe('testinfo.json', () => {
  it('names the server as it was called, and all kernels', () => {
    const first = JSON.stringify({ virt_server: '/usr/bin/node …', nproc: '2' });
    const second = JSON.stringify({ test_kernel_versions: [['one', '', 'Linux']] });
    assert.deepEqual(JSON.parse(testInfo([first, 'damaged', second], 'autopkgtest-virt-ts-unshare')), {
      virt_server: 'autopkgtest-virt-ts-unshare',
      nproc: '2',
      test_kernel_versions: [['one', '', 'Linux']],
    });
  });
});
