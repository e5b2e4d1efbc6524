/** Which processes keep a set of namespaces, and which only have a number that was free again. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Traces } from '../../../src/namespaces/traces.ts';
import { isAlive } from '../../../src/processes/identity.ts';
import { childrenOf } from '../../../src/processes/list.ts';

/** In namespaces of its own, in a file system of its own as the root, says "here" and waits. */
const ROOT = `
  system("mount", "-t", "tmpfs", "none", "/mnt") == 0 or die;
  chroot "/mnt" or die; chdir "/"; syswrite STDOUT, "here\\n"; sleep 100;`;
/** The id of the mount that is a process's root. */
function rootMount(pid: number | undefined): string | undefined {
  return rootPlace(pid)?.split(' ')[0];
}

/** The same, and the number of its file system: fields 1 and 3 of proc_pid_mountinfo(5). */
function rootPlace(pid: number | undefined): string | undefined {
  if (pid === undefined) return undefined;
  const [id, , device] = readFileSync(`/proc/${pid}/mountinfo`, 'latin1').split(' ');
  return `${id} ${device}`;
}

describe('the traces of namespaces', () => {
  it('are not those of a process of the machine that has got the pid', () => {
    assert.throws(() => new Traces(process.pid, ''), { code: 'PROCESS_ENDED' });
  });

  const started: ChildProcess[] = [];
  afterEach(async () => {
    for (const child of started.splice(0)) await end(child);
  });

  async function start(...options: string[]): Promise<ChildProcess> {
    const child = spawn('unshare', [...options, 'perl', '-e', ROOT], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    started.push(child);
    await once(child.stdout, 'data');
    return child;
  }

  async function end(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  it('are processes with their root, not those that later have a mount of the same id', async function () {
    // Another process of the machine may get the id first.
    this.retries(5);
    const old = await start('-Urmpf', '--kill-child');
    const [inside = 0] = childrenOf(old.pid ?? 0);
    const traces = new Traces(inside, '');
    try {
      assert.ok(traces.watching);
      const found = traces.holders().map(({ pid }) => pid);
      assert.deepEqual(new Set(found), new Set([old.pid, inside]));
      const id = rootMount(inside);
      await end(old);
      await traces.unmounted;
      let later: number | undefined;
      for (let tries = 0; rootMount(later) !== id && tries < 50; tries += 1)
        later = (await start('-Urm')).pid;
      assert.equal(rootMount(later), id, 'no mount got the same id');
      assert.deepEqual(traces.holders().filter(isAlive), []);
    } finally {
      traces.release();
    }
  });

  it('are not the processes of later namespaces, whose file system is watched and has the same number', async function () {
    this.retries(5);
    const old = await start('-Urmpf', '--kill-child');
    const [inside = 0] = childrenOf(old.pid ?? 0);
    const traces = new Traces(inside, '');
    const others: Traces[] = [];
    try {
      const place = rootPlace(inside);
      await end(old);
      await traces.unmounted;
      let later: number | undefined;
      for (let tries = 0; rootPlace(later) !== place && tries < 50; tries += 1) {
        [later = 0] = childrenOf((await start('-Urmpf', '--kill-child')).pid ?? 0);
        others.push(new Traces(later, ''));
      }
      assert.equal(rootPlace(later), place, 'no mount got the same id in a file system with the same number');
      assert.deepEqual(traces.holders().filter(isAlive), []);
    } finally {
      for (const each of [traces, ...others]) each.release();
    }
  });
});
