/** Single files, and the file of the host that one is written to. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { Socket } from 'node:net';
import { copyIn, copyOut } from '../../../src/copy/copy.ts';
import type { MoverWay } from '../../../src/copy/types.ts';
import { CopyTimeoutError } from '../../../src/errors.ts';
import { type StdioList, spawnHost } from '../../../src/host.ts';
import { silentLog } from '../../../src/log.ts';
import { waitUntil } from '../../../src/wait.ts';
import { fails, OPTIONS, useFolder } from './copying.ts';
import { HostTestbed, movers } from './host-testbed.ts';

describe('copying', () => {
  const { path, bytes, host, down, up, withShell } = useFolder();

  for (const [way, copy] of [
    ['down', down],
    ['up', up],
  ] as const) {
    describe(`of single files ${way}`, () => {
      it('keeps content and the executable bit, of empty files too', async () => {
        for (const [name, content, mode] of [
          ['plain', 'x'.repeat(300_000), 0o644],
          ['run', '#!/bin/sh\n', 0o755],
          ['empty', '', 0o644],
          ['empty-run', '', 0o700],
        ] as const) {
          writeFileSync(path(name), content, { mode });
          await copy(name, `${name}.copy`);
          assert.equal(readFileSync(path(`${name}.copy`), 'utf8'), content);
          assert.equal((statSync(path(`${name}.copy`)).mode & 0o111) !== 0, (mode & 0o111) !== 0, name);
        }
      });

      it('takes any name', async () => {
        const names = ['a b', 'new\nline\n', "it's", '"', '-n', '%s\\0101', '$(id)', '*'].map((name) =>
          Buffer.from(name),
        );
        names.push(Buffer.from([0xff, 0xc3, 0x0a]));
        for (const name of names) {
          const from = Buffer.concat([bytes(''), name]);
          const to = Buffer.concat([bytes('to '), name]);
          writeFileSync(from, name);
          await (way === 'down' ? copyIn : copyOut)(host, from, to, OPTIONS);
          assert.deepEqual(readFileSync(to), name);
        }
      });

      it('writes over a file that is there, through a link too, and leaves the link', async () => {
        writeFileSync(path('from'), 'new');
        writeFileSync(path('old'), 'old and longer', { mode: 0o600 });
        symlinkSync('old', path('link'));
        await copy('from', 'link');
        assert.equal(readFileSync(path('old'), 'utf8'), 'new');
        assert.equal(statSync(path('old')).mode & 0o777, 0o600);
        assert.ok(lstatSync(path('link')).isSymbolicLink());
      });

      it('reports what cannot be read, and leaves no new file', async () => {
        await fails(copy('none', 'to'), /none.*(ENOENT|No such file|can't open|cannot open)/i);
        mkdirSync(path('directory'));
        await fails(copy('directory', 'to'), 'IS_A_DIRECTORY');
        assert.equal(existsSync(path('to')), false);
        writeFileSync(path('file'), 'x');
        await fails(copy('file', 'no/such/place'), /ENOENT|[Nn]o such|does not exist/);
        await fails(copy('file', 'directory'), /directory/i);
      });
    });
  }

  it('removes a new file that was too long, and reports that one which existed is changed', async () => {
    writeFileSync(path('from'), 'x'.repeat(200_000));
    writeFileSync(path('old'), 'old');
    const options = { ...OPTIONS, maxBytes: 100_000 };
    await fails(up('from', 'to', options), 'TOO_MANY_BYTES');
    assert.equal(existsSync(path('to')), false);
    await fails(up('from', 'old', options), /only a part of it now/);
    await up('from', 'to', { ...OPTIONS, maxBytes: 200_000 });
  });

  it('reports after a timeout too what is left of a file that existed', async () => {
    writeFileSync(path('from'), 'new');
    writeFileSync(path('old'), 'old');
    const testbed = withShell('exec 4<"$4"; printf - >&3; read -r _ <&3; sleep 100');
    await assert.rejects(
      copyOut(testbed, bytes('from'), bytes('old'), { ...OPTIONS, timeout: 0.5 }),
      (error) =>
        error instanceof CopyTimeoutError &&
        error.message.includes('only a part of it now') &&
        error.remedy !== undefined,
    );
  });

  it('reports that the destination is full', async () => {
    writeFileSync(path('from'), 'x'.repeat(200_000));
    const full = Buffer.from('/dev/full');
    await fails(
      copyOut(host, bytes('from'), full, OPTIONS),
      /writing on the host failed: No space left.*; free space on that/,
    );
    await fails(
      copyIn(host, bytes('from'), full, OPTIONS),
      /writing in the testbed failed: No space left.*; free space where the testbeds are/,
    );
  });

  it('reports why the helper failed, also when it had ended before the file was open', async () => {
    writeFileSync(path('from'), 'content');
    const go = path('go');
    execFileSync('mkfifo', [go]);
    class FailingTestbed extends HostTestbed {
      override async start([, ...rest]: readonly [string, ...string[]], stdio: StdioList) {
        const wait = 'read -r _ <"$0"; shift; exec sh "$@"';
        return super.start(['sh', '-c', wait, go, 'sh', ...rest], stdio);
      }

      override async startMover(_: MoverWay, stdio: StdioList) {
        const event =
          '{"event":"failed","code":"CANNOT_ENTER","what":"entering the testbed","errno":"EMFILE"}';
        const started = await spawnHost(['sh', '-c', `echo '${event}' >&3; exit 1`], silentLog, { stdio });
        started.child.once('close', () => writeFileSync(go, '\n'));
        return started;
      }
    }
    for (const copy of [copyIn, copyOut]) {
      await fails(
        copy(new FailingTestbed(), bytes('from'), bytes('to'), OPTIONS),
        /entering the testbed failed; raise the limit of open files/,
      );
    }
  });

  it('keeps the links of a file that is written over, and leaves it as it was when there is nothing to read', async () => {
    writeFileSync(path('old'), 'old and longer');
    linkSync(path('old'), path('other'));
    await fails(up('none', 'old'), /none.*(No such file|cannot open)/);
    assert.equal(readFileSync(path('other'), 'utf8'), 'old and longer');
    writeFileSync(path('from'), 'new');
    await up('from', 'old');
    assert.equal(readFileSync(path('other'), 'utf8'), 'new');
  });
});

for (const mover of movers) {
  describe(`copying of single files by ${mover}`, () => {
    const { path, bytes, host, down, up, withShell } = useFolder(undefined, mover);

    it('leaves a file as it is that would be copied onto itself, as what is bound into a testbed can be', async () => {
      writeFileSync(path('file'), 'content');
      linkSync(path('file'), path('name'));
      for (const copy of [down, up]) {
        await fails(copy('file', 'file'), 'SAME_FILE');
        await fails(copy('file', 'name'), 'SAME_FILE');
      }
      assert.equal(readFileSync(path('file'), 'utf8'), 'content');
    });

    it('fails when the program that copies is killed with its work unread', async () => {
      writeFileSync(path('from'), 'x');
      for (const [open, copy] of [
        ['4<', copyOut],
        ['4>>', copyIn],
      ] as const) {
        const testbed = withShell(`exec ${open}"$4"; printf - >&3; read -r _ <&3`);
        const { startMover } = testbed;
        testbed.startMover = async (way, stdio) => {
          const started = await startMover.call(testbed, way, stdio);
          started.child.kill('SIGSTOP');
          const order = started.child.stdio[3];
          assert.ok(order instanceof Socket);
          void waitUntil(() => order.bytesWritten > 0, 5_000).then(() => started.child.kill('SIGKILL'));
          return started;
        };
        await fails(
          copy(testbed, bytes('from'), bytes('to'), OPTIONS),
          /broken off|status 137|EPIPE|ECONNRESET/,
        );
      }
    });

    it('fails when a short file becomes shorter', async () => {
      writeFileSync(path('from'), Buffer.alloc(1.5e6, 'x'));
      const cut = `mkfifo "$4"; exec 4<>"$4"; printf . >&3; head -c 1 <&4; truncate -s 1000 ${path('from')}`;
      const testbed = withShell(`${cut}; cat <&4 >/dev/null & read -r _ <&3; kill $!`);
      await fails(copyIn(testbed, bytes('from'), bytes('fifo'), OPTIONS), 'SHORTER');
    });

    it('copies a file whose size is not known', async () => {
      for (const file of ['/proc/version', '/sys/kernel/mm/transparent_hugepage/enabled']) {
        await copyOut(host, Buffer.from(file), bytes('to'), OPTIONS);
        assert.equal(readFileSync(path('to'), 'utf8'), readFileSync(file, 'utf8'));
      }
    });
  });
}
