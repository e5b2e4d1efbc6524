import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { encodeWord } from '../../../src/protocol/line.ts';
import { Marker } from '../../support/left.ts';
import { program, runProgram, ServerProcess } from '../../support/pipes.ts';
import { projectDir, testTarball } from '../../support/rootfs.ts';
import { itWithUsers, ONLY_ROOT } from '../../support/skip.ts';

/** The first `ok`, the scratch directory, and the words of print-execute-command, decoded. */
async function openServer(options: readonly string[] = []) {
  const server = new ServerProcess(options);
  const [ok, opened = '', printed = ''] = await server.askAll('open', 'print-execute-command');
  assert.equal(ok, 'ok');
  const [, scratch = ''] = /^ok (\/\S+)$/.exec(opened) ?? assert.fail(`open: ${opened}`);
  const [, words = ''] = /^ok (\S+)$/.exec(printed) ?? assert.fail(`print-execute-command: ${printed}`);
  const [file = '', ...args] = words.split(',').map(decodeURIComponent);
  const run = (...argv: string[]) =>
    spawnSync(file, [...args, ...argv], { encoding: 'utf8', input: 'from outside' });
  return { server, scratch, run };
}

describe('the server', function () {
  this.timeout(120_000);
  let folder: string;
  let marker: Marker;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
    marker = new Marker();
    execFileSync('mkfifo', [`${folder}/fifo`]);
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
    marker.remove();
  });

  describe('serves', () => {
    it('a driver from start to quit', async () => {
      const { server, scratch, run } = await openServer(marker.options);
      assert.match(
        (await server.ask('capabilities')) ?? '',
        /^ok revert revert-full-system reboot root-on-testbed\b/,
      );
      const { status, stdout, stderr } = run('sh', '-c', 'cat; echo to stderr >&2; id -u; exit 3');
      assert.deepEqual([status, stdout, stderr], [3, 'from outside0\n', 'to stderr\n']);
      assert.equal(run('touch', `${scratch}/mark`).status, 0);
      assert.notDeepEqual(marker.left(), [], 'the marker shows processes of the testbed');
      assert.equal(await server.ask('revert'), `ok ${scratch}`);
      assert.equal(run('true').status, 255, 'the old execute command is void');
      assert.equal(await server.ask('close'), 'ok');
      assert.equal(await server.ask('open'), `ok ${scratch}`);
      assert.equal(await server.ask('quit'), 'ok');
      assert.deepEqual(marker.left(), []);
      // Its stdin is open.
      const { stderr: said, ...how } = await server.ended;
      assert.deepEqual(how, { status: 0, signal: null });
      assert.match(said, ONLY_ROOT ? /^virt-ts-unshare: the testbed has no user but root.*\n$/ : /^$/);
    });

    it('a snapshot, to which each revert returns until close', async () => {
      const { server, scratch } = await openServer(marker.options);
      const command = (text: string) => server.ask(`command sh,-c,${encodeURIComponent(text)}`);
      assert.equal(await command('touch /srv/kept; setsid sleep 300 </dev/null >/dev/null 2>&1 &'), 'ok 0');
      assert.equal(await server.ask('snapshot'), `ok ${scratch}`);
      for (let round = 0; round < 2; round += 1) {
        assert.equal(await command('[ -e /srv/kept ] && [ ! -e /srv/later ] && ! pgrep sleep'), 'ok 0');
        assert.equal(await command('touch /srv/later'), 'ok 0');
        assert.equal(await server.ask('revert'), `ok ${scratch}`);
      }
      assert.equal(await server.ask('close'), 'ok');
      assert.equal(await server.ask('open'), `ok ${scratch}`);
      assert.equal(await command('[ ! -e /srv/kept ]'), 'ok 0');
      assert.equal(await server.ask('quit'), 'ok');
      assert.deepEqual(marker.left(), []);
    });

    it('its first ok and the first requests before it is asked for more', async () => {
      const { status, stdout } = await runProgram(
        [program, '-t', testTarball()],
        'capabilities\nopen\nclose\nquit\n',
      );
      assert.equal(status, 0);
      assert.match(stdout, /^ok\nok revert.*\nok \/.*\nok\nok\n$/);
    });

    it('copies both ways, of any names', async () => {
      const { server, scratch } = await openServer();
      const name = Buffer.from('a b,%\xff\n', 'latin1');
      const source = Buffer.concat([Buffer.from(`${folder}/`), name]);
      const inside = Buffer.concat([Buffer.from(`${scratch}/`), name]);
      writeFileSync(source, 'content');
      assert.equal(await server.ask(`copydown ${encodeWord(source)} ${encodeWord(inside)}`), 'ok');
      assert.equal(await server.ask(`copyup ${encodeWord(inside)} ${encodeWord(`${folder}/back`)}`), 'ok');
      assert.equal(readFileSync(`${folder}/back`, 'utf8'), 'content');
      rmSync(source);
      mkdirSync(`${folder}/tree/sub`, { recursive: true });
      writeFileSync(`${folder}/tree/sub/x`, 'in a tree');
      assert.equal(await server.ask(`copydown ${folder}/tree/ ${scratch}/tree/`), 'ok');
      assert.equal(await server.ask(`copyup ${scratch}/tree/ ${folder}/again/`), 'ok');
      assert.equal(readFileSync(`${folder}/again/sub/x`, 'utf8'), 'in a tree');
      assert.equal(await server.ask(`copyup /does/not/exist ${folder}/none`), 'copy-failed');
      assert.equal(await server.ask(`copydown ${folder}/none ${scratch}/none`), 'copy-failed');
      assert.equal(await server.ask('quit'), 'ok');
      const { status, stderr } = await server.ended;
      assert.equal(status, 0);
      assert.equal(stderr.trimEnd().split('\n').length, 2, stderr);
    });

    it('commands with files of the host', async () => {
      const { server } = await openServer();
      writeFileSync(`${folder}/in`, 'fed');
      const script = encodeWord('cat; echo; pwd; echo "$A-$B"; echo problem >&2; exit 5');
      const files = `stdin=${folder}/in stdout=${folder}/out stderr=${folder}/err`;
      assert.equal(
        await server.ask(`command sh,-c,${script} ${files} cwd=/usr env=A=1%202 env=B=%3D`),
        'ok 5',
      );
      assert.equal(readFileSync(`${folder}/out`, 'utf8'), 'fed\n/usr\n1 2-=\n');
      assert.equal(readFileSync(`${folder}/err`, 'utf8'), 'problem\n');
      assert.equal(await server.ask(`command sleep,1000 timeout=0.2`), 'timeout');
      assert.equal(await server.ask(`command true stdin=${folder}/in`), 'ok 0');
      assert.equal(await server.ask('quit'), 'ok');
    });

    itWithUsers('a command as the normal user', async () => {
      const { server } = await openServer();
      const [, user] = /suggested-normal-user=(\S+)/.exec((await server.ask('capabilities')) ?? '') ?? [];
      assert.equal(await server.ask(`command id,-un user=${user} stdout=${folder}/out`), 'ok 0');
      assert.equal(readFileSync(`${folder}/out`, 'utf8'), `${user}\n`);
      assert.equal(await server.ask('quit'), 'ok');
    });

    it('a shell by a sentence where there is no terminal', async () => {
      const { server } = await openServer();
      assert.equal(await server.ask('shell /'), 'ok');
      assert.equal(await server.ask('quit'), 'ok');
      assert.match(
        (await server.ended).stderr,
        /^virt-ts-unshare: cannot open a shell without a terminal \(.*\); start the server on one\n$/,
      );
    });
  });

  describe('ends', () => {
    const commands: Readonly<Record<string, string>> = {
      'between requests': '',
      'in a command': 'command sleep,1000\n',
      'in a command that ignores signals':
        "command sh,-c,trap%20''%20TERM%20INT%20HUP;%20sleep%201000%20%26%20wait\n",
      'in a revert': 'revert\n',
      'in a copy': 'copyup /usr/ FOLDER/copy/\n',
      'in a command that waits for the writer of a FIFO': 'command true stdin=FOLDER/fifo\n',
    };

    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      for (const [when, request] of Object.entries(commands)) {
        it(`by ${signal} ${when}: dies by it, and nothing is left`, async () => {
          const { server } = await openServer(marker.options);
          server.send(request.replaceAll('FOLDER', folder));
          if (request.includes('sleep'))
            await seen(() => marker.left().some((line) => line.includes('sleep 1000')));
          server.child.kill(signal);
          server.child.kill(signal);
          assert.equal((await server.ended).signal, signal);
          assert.deepEqual(marker.left(), []);
        });
      }
    }

    for (const milliseconds of [0, 5, 10, 20, 40]) {
      it(`by SIGTERM ${milliseconds} ms into open: nothing is left`, async () => {
        const server = new ServerProcess(marker.options);
        await server.reply();
        server.send('open\n');
        await new Promise((resolve) => setTimeout(resolve, milliseconds));
        server.child.kill('SIGTERM');
        const { signal, stderr } = await server.ended;
        assert.equal(signal, 'SIGTERM');
        assert.equal(stderr, '');
        assert.deepEqual(marker.left(), []);
      });
    }

    for (const [when, request] of Object.entries(commands)) {
      it(`by end of file ${when}: exits 12, and nothing is left`, async () => {
        const { server } = await openServer(marker.options);
        server.child.stdin?.end(request.replaceAll('FOLDER', folder));
        const { status, stderr } = await server.ended;
        assert.equal(status, 12);
        assert.match(stderr, /end of file/);
        assert.deepEqual(marker.left(), []);
      });
    }

    it('by misuse: exits 12 with one sentence, and nothing is left', async () => {
      const { server } = await openServer(marker.options);
      assert.equal(await server.ask('frobnicate'), undefined);
      assert.deepEqual(marker.left(), []);
      const { status, stderr } = await server.ended;
      assert.equal(status, 12);
      assert.match(stderr, /^virt-ts-unshare: unknown command 'frobnicate'.*\n$/);
    });

    it('by a scratch that cannot be made: exits 12 at open', async () => {
      const { status, stdout, stderr } = await runProgram(
        // The mode of this folder allows it, the kernel does not.
        [program, '-t', testTarball(), '-u', '/proc/self/fd/none'],
        'open\nquit\n',
      );
      assert.deepEqual([status, stdout], [12, 'ok\n']);
      assert.match(stderr, /scratch/);
    });

    it('by a cache in which no folder can be made: exits 12 at open', async () => {
      const home = ['env', 'XDG_CACHE_HOME=/proc', 'timeout', '-s', 'KILL', '30'] as const;
      const { status, stdout, stderr } = await runProgram(
        [...home, program, '-t', testTarball()],
        'open\nquit\n',
      );
      assert.deepEqual([status, stdout], [12, 'ok\n']);
      assert.match(stderr, /cache \/proc\/.*XDG_CACHE_HOME/);
    });

    for (const scratch of ['auto', 'tmpfs'])
      it(`by a base that is deleted before a revert: exits 12 with one sentence (scratch ${scratch})`, async () => {
        const env = { XDG_CACHE_HOME: folder };
        const bases = join(folder, 'virt-ts-unshare/bases');
        const server = new ServerProcess([`--scratch=${scratch}`], { env });
        try {
          const [, opened] = await server.askAll('open');
          assert.match(opened ?? '', /^ok /);
          const [base = ''] = readdirSync(bases);
          // Of its files an ordinary user can delete none.
          renameSync(join(bases, base, 'tree'), join(bases, base, 'gone'));
          assert.equal(await server.ask('revert'), undefined);
          const { status, stderr } = await server.ended;
          assert.equal(status, 12);
          // A busy machine takes long enough for the progress to be reported.
          assert.match(
            stderr.replace(/^virt-ts-unshare: unpacking \S+\n/, ''),
            /^virt-ts-unshare: the root filesystem \S+ was deleted [^\n]+\n$/,
          );
          renameSync(join(bases, base, 'gone'), join(bases, base, 'tree'));
        } finally {
          await runProgram(['env', `XDG_CACHE_HOME=${folder}`, program, 'rootfs', 'prune', '--all']);
        }
      });

    it('by a command of more words than the kernel takes: exits 12 with one sentence', async () => {
      const { server } = await openServer(marker.options);
      assert.equal(await server.ask(`command echo,${'x'.repeat(4 * 1024 ** 2)}`), undefined);
      const { status, stderr } = await server.ended;
      assert.equal(status, 12);
      assert.match(stderr, /^virt-ts-unshare: cannot start .* E2BIG.*\n$/);
      assert.deepEqual(marker.left(), []);
    });

    it('by quit with status 0 though its stdout is closed', async () => {
      const { server } = await openServer(marker.options);
      server.child.stdout?.destroy();
      server.send('quit\n');
      assert.deepEqual(await server.ended, { status: 0, signal: null, stderr: '' });
      assert.deepEqual(marker.left(), []);
    });

    it('when its stdout is closed from the beginning and stdin ends', async () => {
      const server = new ServerProcess(marker.options);
      server.child.stdout?.destroy();
      server.child.stdin?.end('open\n');
      assert.equal((await server.ended).status, 12);
      assert.deepEqual(marker.left(), []);
    });
  });

  it('leaves its stderr blocking, because commands have the same one', async () => {
    const both = openSync(`${folder}/fifo`, constants.O_RDWR);
    const stderr = openSync(`${folder}/fifo`, constants.O_WRONLY);
    const flags = () => /flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${stderr}`, 'utf8'))?.[1];
    const before = flags();
    const child = spawn(program, ['-t', testTarball(), ...marker.options], {
      stdio: ['pipe', 'pipe', stderr],
    });
    try {
      const lines = createInterface({ input: child.stdout ?? assert.fail() })[Symbol.asyncIterator]();
      assert.equal((await lines.next()).value, 'ok');
      for (const request of ['open', 'capabilities', 'revert', 'close', 'open']) {
        child.stdin?.write(`${request}\n`);
        assert.match(String((await lines.next()).value), /^ok/);
        assert.equal(flags(), before, request);
      }
    } finally {
      const ended = once(child, 'exit');
      child.stdin?.end('quit\n');
      await ended;
      closeSync(stderr);
      closeSync(both);
    }
  });

  describe('ends though its stderr is full and no process reads it', () => {
    let descriptors: number[];
    beforeEach(() => {
      const path = `${folder}/full`;
      execFileSync('mkfifo', [path]);
      const both = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
      descriptors = [both, openSync(path, constants.O_WRONLY)];
      assert.throws(() => {
        for (;;) writeSync(both, 'x'.repeat(4096));
      }, /EAGAIN/);
    });
    afterEach(() => {
      for (const descriptor of descriptors) closeSync(descriptor);
    });

    for (const [what, end, wanted] of [
      ['end of file', (child: ChildProcess) => child.stdin?.end(), [12, null]],
      ['SIGTERM', (child: ChildProcess) => child.kill('SIGTERM'), [null, 'SIGTERM']],
    ] as const) {
      it(`by ${what}, with what it has to report lost`, async () => {
        const child = spawn(program, ['-d', '-t', testTarball(), ...marker.options], {
          stdio: ['pipe', 'pipe', descriptors[1] ?? 2],
        });
        const lines = createInterface({ input: child.stdout ?? assert.fail() })[Symbol.asyncIterator]();
        assert.equal((await lines.next()).value, 'ok');
        child.stdin?.write('open\n');
        assert.match(String((await lines.next()).value), /^ok \//);
        end(child);
        const ended = await once(child, 'exit');
        assert.deepEqual(ended, wanted);
        assert.deepEqual(marker.left(), []);
      });
    }
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

/** Resolves when something outside our reach has come true. */
async function seen(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}
