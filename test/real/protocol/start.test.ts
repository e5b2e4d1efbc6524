/** How the server starts: names, options, and what it refuses before the first `ok`. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openServer } from '../../support/open-server.ts';
import { program, runProgram } from '../../support/pipes.ts';
import { projectDir, testTarball } from '../../support/rootfs.ts';

describe('the server', function () {
  this.timeout(120_000);
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  describe('refuses', () => {
    for (const [options, sentence] of [
      [['--frob'], /--frob/],
      [['-t', '/does/not/exist'], /\/does\/not\/exist/],
      [['-t', '/'], /tarball/],
      [['-t', '/etc/passwd'], /\/etc\/passwd/],
      [['--rootfs', '/does/not/exist'], /\/does\/not\/exist/],
      [['--rootfs', '/etc/passwd'], /\/etc\/passwd/],
      [['-b', '/does/not/exist', '/mnt'], /\/does\/not\/exist/],
      [['--scratch', '/does/not/exist'], /\/does\/not\/exist/],
      [['--scratch', '/etc/passwd'], /\/etc\/passwd/],
      [['--report-leaks=text:/does/not/exist'], /--report-leaks: \/does\/not does not exist/],
      [['--report-leaks=json:/etc'], /--report-leaks: \/etc is a directory/],
      [['--report-leaks=text:/etc/passwd/x'], /--report-leaks: \/etc\/passwd is not a directory/],
      [[`--report-leaks=text:/${'x'.repeat(256)}`], /--report-leaks: \/x+ cannot be reached: ENAMETOOLONG/],
      [['frobnicate'], /frobnicate/],
    ] as const) {
      it(`${options.join(' ')} before the first ok, with 2 and one sentence`, async () => {
        const rootfs = options.some((word) => /^(-t|--rootfs)$/.test(word)) ? [] : ['-t', testTarball()];
        const argv = options[0] === 'frobnicate' ? [...options] : [...rootfs, ...options];
        const { status, stdout, stderr } = await runProgram([program, ...argv], 'open\nquit\n');
        assert.equal(status, 2);
        assert.equal(stdout, '');
        assert.match(stderr, sentence);
        assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
      });
    }

    it('a file of events that is a link to itself', async () => {
      const link = join(folder, 'events');
      symlinkSync(link, link);
      const { status, stdout, stderr } = await runProgram(
        [program, '-t', testTarball(), `--events=${link}`],
        'quit\n',
      );
      assert.deepEqual([status, stdout], [2, '']);
      assert.match(
        stderr,
        /--events: \/\S+ cannot be reached: ELOOP: .*; name one that this user can reach\n$/,
      );
    });

    it('to run before it is built, and names the command that builds it', () => {
      cpSync(`${projectDir}bin`, `${folder}/bin`, { recursive: true, verbatimSymlinks: true });
      writeFileSync(`${folder}/package.json`, '{"type":"module"}');
      for (const name of ['virt-ts-unshare', 'autopkgtest-virt-ts-unshare']) {
        const { status, stdout, stderr } = spawnSync(`${folder}/bin/${name}`, { encoding: 'utf8' });
        assert.deepEqual([status, stdout], [2, '']);
        assert.match(stderr, /not built.*npm run build/);
      }
    });
  });

  describe('is started', () => {
    it('under either name, and through symbolic links', async () => {
      mkdirSync(`${folder}/link dir`);
      for (const name of ['virt-ts-unshare', 'autopkgtest-virt-ts-unshare']) {
        const link = `${folder}/link dir/${name}`;
        symlinkSync(`${projectDir}bin/${name}`, link);
        const { status, stdout } = await runProgram([link, '-t', testTarball()], 'quit\n');
        assert.deepEqual([status, stdout], [0, 'ok\nok\n']);
      }
    });

    it('to print its options and version', async () => {
      const help = await runProgram([program, '--help']);
      assert.equal(help.status, 0);
      assert.match(help.stdout, /^Usage: /);
      const { version: wanted } = JSON.parse(readFileSync(`${projectDir}package.json`, 'utf8'));
      for (const word of ['--version', '-V', 'version']) {
        assert.equal((await runProgram([program, word])).stdout, `virt-ts-unshare ${wanted}\n`);
      }
    });

    it('with binds, scratch on disk and relative paths', async () => {
      chmodSync(folder, 0o755);
      writeFileSync(`${folder}/file`, 'shown');
      mkdirSync(`${folder}/scratch`);
      const { server, run } = await openServer([
        ...['-b', `${folder}/file`, '/srv/deep/file', '-u', `${folder}/made/for/it`],
        ...['--hostname=chosen'],
      ]);
      assert.equal(run('cat', '/srv/deep/file').stdout, 'shown');
      assert.equal(run('uname', '-n').stdout, 'chosen\n');
      assert.ok(existsSync(`${folder}/made/for/it`));
      assert.equal(await server.ask('quit'), 'ok');
    });
  });
});
