/** How the server ends: by signals, end of file and errors, each of which leaves nothing. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, readdirSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Marker } from '../../support/left.ts';
import { openServer } from '../../support/open-server.ts';
import { program, runProgram, ServerProcess } from '../../support/pipes.ts';
import { untilGone, untilRuns } from '../../support/processes.ts';
import { testTarball } from '../../support/rootfs.ts';
import { eachInPlace } from '../../support/server-place.ts';

describe('the server', function () {
  this.timeout(120_000);
  let folder: string;
  let marker: Marker;
  eachInPlace((place) => {
    ({ folder, marker } = place);
    execFileSync('mkfifo', [`${folder}/fifo`]);
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

    it('by SIGKILL while it waits for the writer of a FIFO: no process waits on', async () => {
      const { server } = await openServer(marker.options);
      const { pid = 0 } = server.child;
      server.send(`command true stdin=${folder}/fifo\n`);
      const processes = await untilRuns('/bin/sh -c exec 4</proc/self/fd/3; echo; read -r _', pid);
      server.child.kill('SIGKILL');
      await untilGone(processes);
    });

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
});

/** Resolves when something outside our reach has come true. */
async function seen(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}
