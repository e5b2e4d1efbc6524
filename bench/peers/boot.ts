/**
 * The image's systemd as pid 1, until it has booted, and its reboot: this server, systemd-nspawn and podman on the same tree. A
 * machine has booted when systemd has started all that belongs to its default target; all of them are asked in the same way.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { childrenOf, namespaceOf } from '../../src/processes/list.ts';
import { type Caller, timeProgram, VirtServer, type Words } from '../client.ts';
import { SELF } from '../report.ts';
import type { Results } from '../results.ts';
import { PODMAN } from './others.ts';

const run = promisify(execFile);
/** Milliseconds. */
const LIMIT = 60_000;
const PAUSE = 3;

interface Machine {
  /** Resolves with pid 1. */
  start(): Promise<number>;
  /** Stops the services and starts again; resolves with the new pid 1. */
  reboot(pid: number): Promise<number>;
  end(): Promise<void>;
  /** Resolves with the milliseconds that a command took. */
  readonly run?: Run;
}

type Run = (argv: Words) => Promise<number>;

/** Milliseconds. A move of a process between cgroups, which is slow, makes those that follow it soon fast. */
const IDLE = 50;

async function nowAndThen(run: Run, peer: string, results: Results): Promise<void> {
  for (let count = 0; count < 5; count++) {
    await delay(IDLE);
    results.add(peer, 'run true, booted', await run(['true']));
  }
}

export async function ownBoot(argv: Words, caller: Caller, results: Results): Promise<void> {
  const server = await VirtServer.start([...argv, '--init', '--network=none'], caller);
  results.add(SELF, 'open, booted', await server.time('open'));
  const words = await server.executeCommand();
  await nowAndThen((argv) => timeProgram([...words, ...argv], caller), SELF, results);
  results.add(SELF, 'reboot', await server.time('reboot'));
  await server.quit();
}

/** @param root an unpacked root filesystem with systemd @throws Error where it does not boot */
export async function boot(peer: keyof typeof MACHINES, root: string, results: Results): Promise<void> {
  const machine = MACHINES[peer](root);
  try {
    let begin = performance.now();
    const pid = await machine.start();
    await hasBooted(pid);
    const opened = performance.now() - begin;
    if (machine.run !== undefined) await nowAndThen(machine.run, peer, results);
    begin = performance.now();
    await hasBooted(await machine.reboot(pid));
    results.add(peer, 'open, booted', opened);
    results.add(peer, 'reboot', performance.now() - begin);
  } finally {
    await machine.end();
  }
}

export const MACHINES = {
  'systemd-nspawn': (root: string): Machine => {
    let nspawn: ChildProcess | undefined;
    let pid = 0;
    const start = async (): Promise<number> => {
      const place = ['--volatile=overlay', '--register=no', '--keep-unit', '--private-network', '-D', root];
      const started = spawn('systemd-nspawn', ['--quiet', '--boot', ...place], { stdio: 'ignore' });
      nspawn = started;
      pid = await seen('pid 1 of systemd-nspawn', () => {
        if (started.exitCode !== null)
          throw new Error(`systemd-nspawn ended with status ${started.exitCode}`);
        return started.pid === undefined ? undefined : childrenOf(started.pid).find(listens);
      });
      return pid;
    };
    return {
      start,
      // With --keep-unit it ends with a status that means "start me again", as systemd-nspawn@.service does.
      reboot: async (first) => {
        const ended = nspawn === undefined ? [] : once(nspawn, 'exit');
        await inside(first, 'systemctl', 'reboot');
        const [status] = await ended;
        if (status !== 133) throw new Error(`systemd-nspawn ended with status ${status}`);
        return start();
      },
      end: async () => {
        if (nspawn === undefined || nspawn.exitCode !== null) return;
        const ended = once(nspawn, 'exit');
        if (pid !== 0) process.kill(pid, 'SIGKILL');
        else nspawn.kill('SIGTERM');
        await ended;
      },
    };
  },
  podman: (root: string): Machine => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-bench-'));
    const file = join(folder, 'pid');
    const name = `virt-ts-unshare-bench-${process.pid}`;
    const podman = (...words: string[]) => timeProgram(['podman', ...PODMAN.global, ...words]);
    const pid = () => seen('the file with the pid', () => Number(readFileSync(file, 'utf8')) || undefined);
    return {
      start: async () => {
        const options = ['--systemd=always', '--network=none', `--pidfile=${file}`, ...PODMAN.run];
        await podman('run', '--detach', '--name', name, ...options, '--rootfs', `${root}:O`, '/sbin/init');
        return pid();
      },
      // A reboot from inside ends a container.
      reboot: async () => {
        await podman('restart', '--time', '30', name);
        return pid();
      },
      run: (argv) => podman('exec', name, ...argv),
      end: async () => {
        await podman('rm', '--force', '--time', '0', name).finally(() =>
          rmSync(folder, { recursive: true, force: true }),
        );
      },
    };
  },
} as const;

async function hasBooted(pid: number): Promise<void> {
  await seen('a systemd that listens', () => listens(pid) || undefined);
  const state = await inside(pid, 'systemctl', 'is-system-running', '--wait');
  if (!/^(running|degraded)$/.test(state.trim())) throw new Error(`it did not boot but is ${state.trim()}`);
}

/** The output of a program, whatever its status is. */
async function inside(pid: number, ...argv: string[]): Promise<string> {
  return run('nsenter', ['-t', String(pid), '-a', ...argv]).then(
    ({ stdout }) => stdout,
    (error: unknown) => (error instanceof Error && 'stdout' in error ? String(error.stdout) : ''),
  );
}

/** Not true of a process that has not entered its namespaces yet: what it is asked would be asked of this machine. */
function listens(pid: number): boolean {
  const isInside = (['pid', 'mnt'] as const).every((type) => {
    const namespace = namespaceOf(pid, type);
    return namespace !== undefined && namespace !== namespaceOf(process.pid, type);
  });
  return isInside && existsSync(`/proc/${pid}/root/run/systemd/private`);
}

async function seen<T>(what: string, look: () => T | undefined): Promise<T> {
  for (const limit = performance.now() + LIMIT; performance.now() < limit; ) {
    const found = look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
  throw new Error(`no sign of ${what} in ${LIMIT / 1000} s`);
}
