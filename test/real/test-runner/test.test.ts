/** The verb `test` with the real autopkgtest. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { allPids, commandLine, treeOf } from '../../../src/processes/list.ts';
import { sessionsOf } from '../../../src/report/model.ts';
import { explained, timesOf } from '../../../src/report/times.ts';
import { openCache } from '../../../src/rootfs/cache.ts';
import { committedImages } from '../../../src/rootfs/committed.ts';
import { waitUntil } from '../../../src/wait.ts';
import { readEvents } from '../../support/event-schema.ts';
import { makePackage } from '../../support/many-tests.ts';
import { PROGRAM, virt } from '../../support/program.ts';
import { testTarball } from '../../support/rootfs.ts';
import { describeWithUsers } from '../../support/skip.ts';
import { Terminal } from '../../support/terminal.ts';

/** Names that are there twice, commands with and without a name, and a dependency that all testbeds have. */
const CONTROL = `Tests: one, two
Depends: coreutils
Restrictions: needs-root

Tests: one
Depends: coreutils, bash
Tests-Directory: debian/tests/other
Restrictions: needs-root, allow-stderr

Test-Command: echo named; exit 3
Depends:
Features: test-name=named

Test-Command: test ! -e debian/files
Depends: coreutils

Tests: unsupported
Restrictions: mock-unknown-restriction
`;

describeWithUsers('virt-ts-unshare test', function () {
  this.timeout(300_000);
  let folder: string;
  let terminal: Terminal | undefined;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-verb-test-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));
  afterEach(() => terminal?.kill());

  const server = ['--', '--tarball', testTarball('build')];
  const images = () =>
    committedImages(openCache(process.env)).filter(({ name }) => name.startsWith('vtu-test-'));
  const ofThisTest = () => allPids().filter((pid) => commandLine(pid).includes(folder));

  it('runs all tests in shares, and writes what one driver would write', async () => {
    const made = makePackage(folder, CONTROL, {
      one: 'cat /etc/set-up /run/set-up/file >"$AUTOPKGTEST_ARTIFACTS/one"',
      two: 'echo out; echo two >"$AUTOPKGTEST_ARTIFACTS/two"',
    });
    mkdirSync(join(made, 'debian/tests/other'));
    writeFileSync(join(made, 'debian/tests/other/one'), '#!/bin/sh\necho err >&2\n', { mode: 0o755 });
    const output = join(folder, 'output');
    const setup = 'echo file >/etc/set-up; mkdir -m 700 /run/set-up; echo run >/run/set-up/file';
    const before = images().length;
    const { status, stdout, stderr } = await virt([
      ...['test', '-j', '2', '-B', '-o', output, '--setup-commands', setup, made],
      ...server,
    ]);
    const expected = [
      'unsupported          SKIP unknown restriction mock-unknown-restriction',
      'one                  PASS',
      'one                  PASS',
      'two                  PASS',
      'named                FAIL non-zero exit status 3',
      'command1             PASS',
      '',
    ].join('\n');
    assert.equal(stdout, expected, stderr);
    assert.equal(status, 6);
    assert.equal(readFileSync(join(output, 'summary'), 'utf8'), expected);
    assert.deepEqual(readdirSync(output).sort(), [
      ...['artifacts', 'command1-packages', 'events.jsonl', 'log', 'named-packages', 'named-stdout'],
      'one-packages',
      ...['one-stderr', 'summary', 'testbed-packages', 'testinfo.json', 'testpkg-version'],
      ...['two-packages', 'two-stdout'],
    ]);
    assert.deepEqual(readdirSync(join(output, 'artifacts')).sort(), ['one', 'two']);
    assert.equal(readFileSync(join(output, 'artifacts/one'), 'utf8'), 'file\nrun\n');
    // Of each driver, from its beginning to the end of its server.
    for (const session of sessionsOf(readEvents(join(output, 'events.jsonl')))) {
      const times = timesOf(session);
      assert.ok(explained(times) >= 0.95, JSON.stringify([session.caller, times]));
    }
    const report = await virt(['report', output]);
    assert.match(report.stdout, /named .* FAIL non-zero exit status 3/, report.stderr);
    assert.match(stderr, /installing what the tests depend on/);
    assert.match(stderr, /\d of 6: named: FAIL non-zero exit status 3, \d/);
    assert.equal(images().length, before);
  });

  it('runs a test again whose driver was killed, and ends all at Ctrl-C on a narrow terminal', async () => {
    const shared = join(folder, 'shared');
    mkdirSync(shared);
    // Root of the testbed is another user than the host's root.
    chmodSync(shared, 0o777);
    const wait = (name: string) => `: >/shared/${name}; while [ ! -e /shared/go ]; do sleep 0.05; done`;
    const made = makePackage(
      join(folder, 'waiting'),
      'Tests: waits, runs-until-ctrl-c\nDepends:\nRestrictions: needs-root\n',
      {
        waits: wait('started'),
        'runs-until-ctrl-c': 'exec sleep 1000',
      },
    );
    const argv = [PROGRAM, 'test', '-j', '1', '-B', made, ...server, '--bind', shared, '/shared'];
    terminal = new Terminal(argv, { env: { ...process.env, NO_COLOR: '1' }, cwd: folder, size: [24, 48] });
    const started = () => existsSync(join(shared, 'started'));
    assert.ok(await waitUntil(started, 120_000), terminal.shown.slice(-2000));
    rmSync(join(shared, 'started'));
    const [driver] = treeOf(terminal.pid).filter((pid) =>
      /^\S*python3 .*autopkgtest .*--test-name=waits/.test(commandLine(pid)),
    );
    assert.ok(driver !== undefined, terminal.shown);
    process.kill(driver, 'SIGKILL');
    assert.ok(await waitUntil(started, 120_000), terminal.shown.slice(-2000));
    writeFileSync(join(shared, 'go'), '');
    await terminal.waitFor(/waits +PASS/);
    await terminal.waitFor(/runs-until-c\S* +running/);
    terminal.type('\x03');
    assert.equal(await terminal.ended(), 130, terminal.shown);
    assert.match(terminal.shown, /was killed by SIGKILL; these tests are run again: waits/);
    const lines = terminal.shown.split(/[\r\n]+/).filter((line) => /PASS {5}|running|TEST/.test(line));
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colors
    const widths = lines.map((line) => line.replaceAll(/\x1b\[[\d;]*[A-Za-z]/g, '').length);
    assert.ok(Math.max(...widths) < 48, terminal.shown);
    assert.ok(await waitUntil(() => ofThisTest().length === 0, 5_000), String(ofThisTest().map(commandLine)));
  });

  it('names what is wrong in a call', async () => {
    writeFileSync(join(folder, 'file'), '');
    const calls: readonly (readonly [readonly string[], RegExp])[] = [
      [['--jobs', '0', '.'], /--jobs is 0, which is not a number of drivers; give a number from 1 on/],
      [['-o', folder, '.'], /is not empty; name an empty or a new one/],
      [['.', '--', '--relase', 'x'], /unknown option --relase/],
      [
        ['--summary-file', `${folder}/absent/x`, '.'],
        /--summary-file: \S+\/absent does not exist; make this directory/,
      ],
      [['-o', '/proc/none', '.'], /output directory \/proc\/none cannot be used: ENOENT.*; name another one/],
      [['absent_1.dsc'], /there is no file absent_1\.dsc; give /],
      [['./absent'], /there is no file \.\/absent; give /],
    ];
    for (const [args, message] of calls) {
      const { status, stderr } = await virt(['test', ...args]);
      assert.equal(status, 2, stderr);
      assert.match(stderr, message);
    }
  });

  it('shows what the driver reports of a call that it does not take', async () => {
    const empty = join(folder, 'empty');
    mkdirSync(empty);
    const { status, stderr } = await virt(['test', '-B', '.', ...server], { cwd: empty });
    assert.equal(status, 20, stderr);
    assert.match(stderr, /The end of the log:\n( {2}\| .*\n)* {2}\| .*\. is not a valid test package\n/);
  });

  it('shows why no test could run, and that a word without a slash is no directory', async () => {
    const parent = join(folder, 'no-such-package');
    const name = basename(makePackage(parent, 'Test-Command: true\nDepends:\n'));
    const { status, stdout, stderr } = await virt(['test', '-B', name, ...server], { cwd: parent });
    // autopkgtest 5.28 blames the testbed, 5.49 the package.
    assert.ok(status === 16 || status === 12, stderr);
    assert.match(stdout, /^(testbed failure: rules extract failed|erroneous package: )/);
    assert.match(
      stderr,
      /mock-made is taken for the name of a package in the archive; for the directory write \.\/mock-made/,
    );
    assert.match(stderr, /The end of the log:\n( {2}\| .*\n)* {2}\| .*E: /);
  });
});
