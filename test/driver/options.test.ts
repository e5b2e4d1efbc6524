/** The options of the real autopkgtest, as a person would use them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { autopkgtest, removeScratch, scratchDir } from '../support/autopkgtest.ts';
import { mockPackagesDir } from '../support/mock-packages.ts';
import { projectDir } from '../support/rootfs.ts';
import { describeWithUsers } from '../support/skip.ts';

/** A package tree with one test of this text; a `debian/files` makes it a built tree, which needs no compiler. */
function packageOf(script: string, fields = ''): string {
  const folder = `${scratchDir()}/package`;
  mkdirSync(`${folder}/debian/tests`, { recursive: true });
  writeFileSync(`${folder}/debian/files`, '');
  writeFileSync(`${folder}/debian/control`, 'Source: one\n\nPackage: one\nArchitecture: all\n');
  writeFileSync(`${folder}/debian/changelog`, 'one (1) unstable; urgency=medium\n');
  writeFileSync(`${folder}/debian/tests/control`, `Tests: one\nDepends:\n${fields}`);
  writeFileSync(`${folder}/debian/tests/one`, `#!/bin/sh\nset -eu\n${script}\n`, { mode: 0o755 });
  return folder;
}

/** `--name`, with `-x ` before it where there is a short one, of each option in a text of --help. */
function optionsIn(help: string): string[] {
  const found = [...help.matchAll(/^ +(?:(-\w)[^,\n]*, +)?(--[\w-]+)/gm)];
  return found.map(([, short, long]) => (short === undefined ? `${long}` : `${short} ${long}`)).sort();
}

describe("the options of autopkgtest's own backend", () => {
  it('are all known here, by the same letters', () => {
    const helpOf = (program: string) => optionsIn(execFileSync(program, ['--help'], { encoding: 'utf8' }));
    const theirs = helpOf('autopkgtest-virt-unshare');
    const ours = helpOf(`${projectDir}/bin/virt-ts-unshare`);
    assert.ok(theirs.includes('-t --tarball'), String(theirs));
    assert.deepEqual(
      theirs.filter((option) => !ours.includes(option)),
      [],
    );
  });
});

describeWithUsers("autopkgtest's options", function () {
  this.timeout('3m');
  after(removeScratch);

  it('--test-name and --skip-test choose among the tests', async () => {
    const only = await autopkgtest({ args: ['-B', '--test-name=passes', `${mockPackagesDir}/fails`] });
    assert.deepEqual([only.status, only.summary], [0, { passes: 'PASS' }], only.log);
    const rest = await autopkgtest({
      args: ['-B', '--skip-test=complains', `${mockPackagesDir}/stderr`],
    });
    assert.equal(rest.summary.silent, 'PASS', rest.log);
    assert.doesNotMatch(rest.summary.complains ?? '', /FAIL/);
  });

  it('--setup-commands prepare the testbed as root, from a string and from a file', async () => {
    const file = `${scratchDir()}/commands`;
    writeFileSync(file, 'mkdir /from-a-file\necho "$(id -u)" >/from-a-file/uid\n');
    const run = await autopkgtest({
      args: [
        '--setup-commands=echo "it\'s 100% \\"quoted\\"" >/from-a-string',
        `--setup-commands=${file}`,
        packageOf(`[ "$(cat /from-a-string)" = "it's 100% \\"quoted\\"" ]
[ "$(cat /from-a-file/uid)" = 0 ]`),
      ],
    });
    assert.deepEqual([run.status, run.summary], [0, { one: 'PASS' }], run.log);
  });

  it('--setup-commands have all their output in the log, what a tee was still to write too', async () => {
    // Not so a test's own: the driver wraps it, and kills a tee that is still at work (wrapper.sh, at 5.28).
    const file = `${scratchDir()}/commands`;
    writeFileSync(file, `bash -ec 'exec > >(tee /copy); seq 50000 100000'\n`);
    // The tee is sure to have ended with the commands, not with the bash that started it.
    const check = '[ "$(wc -l </copy)" = 50001 ]';
    const run = await autopkgtest({ args: [`--setup-commands=${file}`, packageOf(check)] });
    assert.equal(run.status, 0, run.log);
    const lines = run.log.split('\n').filter((line) => /^\d+$/.test(line));
    assert.deepEqual(
      lines,
      Array.from({ length: 50_001 }, (_, index) => String(50_000 + index)),
    );
  });

  it('--setup-commands that fail end the run as a broken testbed', async () => {
    const run = await autopkgtest({ args: ['--setup-commands=exit 3', packageOf('true')] });
    assert.equal(run.status, 16, run.log);
    assert.deepEqual(run.summary, {});
  });

  it('--user runs the test as that user', async () => {
    const run = await autopkgtest({
      args: [
        // autopkgtest 5.49 wants the user before it runs --setup-commands. This one is not the user that it takes by default.
        '--user=backup',
        '--setup-commands=usermod --shell /bin/bash backup && mkdir -p ~backup && chown backup ~backup',
        packageOf(`[ "$(id -un)" = backup ]
[ "$HOME" = /var/backups ]
touch "$HOME/file" "$AUTOPKGTEST_TMP/file"`),
      ],
    });
    assert.deepEqual([run.status, run.summary], [0, { one: 'PASS' }], run.log);
  });

  it('--env reaches the test, whatever its value', async () => {
    const run = await autopkgtest({
      args: [
        '--env=PLAIN=value',
        '--env=ODD= spaces, "quotes", $HOME = 100% \\ ',
        packageOf(`[ "$PLAIN" = value ]
[ "$ODD" = ' spaces, "quotes", $HOME = 100% \\ ' ]`),
      ],
    });
    assert.deepEqual([run.status, run.summary], [0, { one: 'PASS' }], run.log);
  });

  it('--copy brings files and folders to the testbed', async () => {
    const folder = `${scratchDir()}/with spaces`;
    mkdirSync(`${folder}/deep`, { recursive: true });
    writeFileSync(`${folder}/deep/file`, 'deep\n');
    writeFileSync(`${folder}/script`, '#!/bin/sh\necho ran\n', { mode: 0o755 });
    const run = await autopkgtest({
      args: [
        `--copy=${folder}:/opt/a folder`,
        `--copy=${folder}/script:/usr/local/bin/copied`,
        packageOf(`[ "$(cat '/opt/a folder/deep/file')" = deep ]
[ "$(copied)" = ran ]`),
      ],
    });
    assert.deepEqual([run.status, run.summary], [0, { one: 'PASS' }], run.log);
  });

  it('--timeout-test ends a test that lasts too long, with all that it started', async () => {
    const run = await autopkgtest({
      args: [
        '--timeout-test=3',
        packageOf(`(trap '' HUP INT TERM; while :; do sleep 1000; done) &
setsid sleep 1000 &
echo started
sleep 1000`),
      ],
    });
    assert.deepEqual([run.status, run.summary], [4, { one: 'FAIL timed out' }], run.log);
    assert.equal(readFileSync(`${run.outputDir}/one-stdout`, 'utf8'), 'started\n');
  });

  it('--output-dir gets the log, the streams, the packages and what the driver knows of the testbed', async () => {
    const run = await autopkgtest({
      args: [packageOf('echo out\necho err >&2', 'Restrictions: allow-stderr\n')],
    });
    assert.equal(run.status, 0, run.log);
    assert.equal(readFileSync(`${run.outputDir}/one-stdout`, 'utf8'), 'out\n');
    assert.equal(readFileSync(`${run.outputDir}/one-stderr`, 'utf8'), 'err\n');
    assert.match(readFileSync(`${run.outputDir}/testbed-packages`, 'utf8'), /^dpkg\t1\./m);
    assert.equal(readFileSync(`${run.outputDir}/testpkg-version`, 'utf8'), 'one 1\n');
    const info = JSON.parse(readFileSync(`${run.outputDir}/testinfo.json`, 'utf8'));
    assert.match(info.virt_server, /virt-/);
    assert.ok(readdirSync(run.outputDir).includes('log'));
  });

  it('--apt-upgrade brings the testbed up to date', async () => {
    const run = await autopkgtest({
      args: [
        '--apt-upgrade',
        packageOf(
          '[ -z "$(apt-get --simulate dist-upgrade | grep "^Inst ")" ]\nls /var/lib/apt/lists/*Packages* >/dev/null',
        ),
      ],
    });
    assert.deepEqual([run.status, run.summary], [0, { one: 'PASS' }], run.log);
  });
});
