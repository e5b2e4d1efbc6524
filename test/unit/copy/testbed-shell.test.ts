/** The shell of the testbed, which opens a single file and may be any program. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { copyIn, copyOut } from '../../../src/copy/copy.ts';
import { childrenOf } from '../../../src/processes/list.ts';
import { fails, OPTIONS, useFolder } from './copying.ts';
import { HostTestbed } from './host-testbed.ts';

describe('copying a single file by the shell of a testbed', () => {
  const { path, bytes, host, up, withShell } = useFolder();

  it('lends no process of the testbed a file of the host', async () => {
    const testbed = new HostTestbed();
    writeFileSync(path('from'), 'x');
    writeFileSync(path('old'), 'x');
    await copyIn(testbed, bytes('from'), bytes('inside'), OPTIONS);
    await copyOut(testbed, bytes('inside'), bytes('to'), OPTIONS);
    await copyOut(testbed, bytes('inside'), bytes('old'), OPTIONS);
    assert.equal(testbed.given.length, 3);
    assert.deepEqual(new Set(testbed.given.flat()), new Set(['ignore', 'pipe']));
  });

  const OPEN = 'exec 4<"$4"; printf - >&3; read -r _ <&3';

  it('lets a new file appear only when it is whole', async () => {
    writeFileSync(path('from'), Buffer.alloc(300_004));
    const slow = `${OPEN}; : >'${path('begun')}'; until [ -e '${path('go')}' ]; do sleep 0.01; done`;
    const copy = copyOut(withShell(slow), bytes('from'), bytes('to'), OPTIONS);
    const hidden = (): string[] => readdirSync(path('')).filter((name) => name.startsWith('.'));
    while (!existsSync(path('begun'))) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(hidden().length, 1);
    assert.equal(existsSync(path('to')), false);
    writeFileSync(path('go'), '');
    await copy;
    assert.equal(statSync(path('to')).size, 300_004);
    assert.deepEqual(hidden(), []);
  });

  it('does not write over a file that another process has made meanwhile', async () => {
    writeFileSync(path('from'), 'theirs');
    const testbed = withShell(`${OPEN}; echo mine >'${path('to')}'`);
    await fails(copyOut(testbed, bytes('from'), bytes('to'), OPTIONS), 'TARGET_EXISTS');
    assert.equal(readFileSync(path('to'), 'utf8'), 'mine\n');
    assert.deepEqual(readdirSync(path('')).sort(), ['bin', 'from', 'to']);
  });

  it('leaves nothing of a file that cannot be read to its end, or is none', async () => {
    // Its first page is not mapped.
    const memory = copyOut(host, Buffer.from('/proc/self/mem'), bytes('to'), OPTIONS);
    await fails(memory, /reading in the testbed failed: Input\/output error/);
    execFileSync('mkfifo', [path('fifo')]);
    await fails(up('fifo', 'to'), 'NOT_A_FILE');
    await fails(copyOut(host, Buffer.from('/dev/zero'), bytes('to'), OPTIONS), 'NOT_A_FILE');
    assert.deepEqual(readdirSync(path('')), ['fifo']);
  });

  it('leaves a file of the host as it is when what the testbed has open is none', async () => {
    writeFileSync(path('old'), 'old');
    for (const open of ['exec 4</dev/zero', 'exec 4</']) {
      const testbed = withShell(`${open}; printf - >&3; read -r _ <&3`);
      await fails(copyOut(testbed, bytes('any'), bytes('old'), OPTIONS), 'NOT_A_FILE');
    }
    assert.equal(readFileSync(path('old'), 'utf8'), 'old');
  });

  it('does not touch a process of another testbed that now has the pid', async () => {
    const elsewhere = spawn('unshare', ['-Urpf', 'sh', '-c', 'echo up; exec sleep 60'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    try {
      await once(elsewhere.stdout, 'data');
      const [inside] = childrenOf(elsewhere.pid ?? 0);
      assert.ok(inside !== undefined);
      writeFileSync(path('from'), 'theirs');
      const testbed = withShell(OPEN);
      testbed.pid = inside;
      await fails(copyOut(testbed, bytes('from'), bytes('to'), OPTIONS), 'FILE_CLOSED');
      assert.equal(existsSync(path('to')), false);
      writeFileSync(path('mine'), 'mine');
      await fails(copyIn(testbed, bytes('from'), bytes('mine'), OPTIONS), 'FILE_CLOSED');
      assert.equal(readFileSync(path('mine'), 'utf8'), 'mine');
    } finally {
      for (const pid of childrenOf(elsewhere.pid ?? 0)) process.kill(pid, 'SIGKILL');
      await once(elsewhere, 'exit');
    }
  });

  for (const [what, script] of [
    ['sends nothing', 'exit 0'],
    ['opens nothing', 'printf x >&3; read -r _ <&3'],
    ['is killed', 'exec 4<>"$4"; printf x >&3; kill -9 $$'],
    ['fails in the end', 'exec 4<"$4"; printf x >&3; read -r _ <&3; echo broken >&2; exit 1'],
    ['chatters', 'exec yes >&3'],
  ] as const) {
    it(`leaves nothing of a file when the shell of the testbed ${what}`, async () => {
      writeFileSync(path('old'), 'old');
      writeFileSync(path('from'), 'x');
      const testbed = withShell(script);
      await fails(copyOut(testbed, bytes('from'), bytes('to'), OPTIONS), /./);
      assert.deepEqual(readdirSync(path('')).sort(), ['bin', 'from', 'old']);
      for (const { child } of testbed.started)
        assert.ok(child.exitCode !== null || child.signalCode !== null);
    });
  }
});
