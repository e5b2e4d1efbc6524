/** What the server does for a driver, from `open` to `quit`. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { encodeWord } from '../../../src/protocol/line.ts';
import type { Marker } from '../../support/left.ts';
import { openServer } from '../../support/open-server.ts';
import { program, runProgram } from '../../support/pipes.ts';
import { testTarball } from '../../support/rootfs.ts';
import { eachInPlace } from '../../support/server-place.ts';
import { itWithUsers, ONLY_ROOT } from '../../support/skip.ts';

describe('the server', function () {
  this.timeout(120_000);
  let folder: string;
  let marker: Marker;
  eachInPlace((place) => {
    ({ folder, marker } = place);
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

  it('leaves its stderr blocking, because commands have the same one', async () => {
    execFileSync('mkfifo', [`${folder}/fifo`]);
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
});
