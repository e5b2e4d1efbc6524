/** One set of namespaces with its pid 1: how it starts, and how it ends so that nothing of it is left. */
import { closeSync, openSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { TestbedError } from '../errors.ts';
import { type HostProcess, spawnHost, textOf } from '../host.ts';
import type { Log } from '../log.ts';
import { scriptText } from '../scripts.ts';
import { waitUntil } from '../wait.ts';
import type { Holder } from './holder.ts';
import { firstLine, lifelineOf } from './lifeline.ts';
import {
  commandLine,
  membersOf,
  namespaceOf,
  type ProcessState,
  processState,
  signalProcess,
} from './processes.ts';

export interface InstanceOptions {
  readonly hostname: string;
  /** tmpfs options, or an absolute path in the holder: the folder for the upper layer. */
  readonly upper: string;
  /** Lines of fstab(5) over /mnt/root. */
  readonly fstab: string;
  readonly ownNetwork: boolean;
  /** Folders in the holder whose plain copy, one over the other, is the root; none: an overlay is. */
  readonly copy: readonly string[];
}

/** Milliseconds for the end of what is dead already; the kernel may have gigabytes of pages to free. */
const END_LIMIT = 30_000;

export class Instance {
  /** Host pid of pid 1. */
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: with the pid it names this process and no later one. */
  readonly startTime: string;
  readonly #unshare: HostProcess;
  readonly #lifeline: Duplex;
  readonly #log: Log;
  readonly #mountNamespace: string | undefined;
  #dead = false;

  private constructor(pid: number, startTime: string, unshare: HostProcess, lifeline: Duplex, log: Log) {
    this.pid = pid;
    this.startTime = startTime;
    this.#unshare = unshare;
    this.#lifeline = lifeline;
    this.#log = log;
    this.#mountNamespace = namespaceOf(pid, 'mnt');
    void unshare.exited.then(() => {
      this.#dead = true;
    });
  }

  /** @throws TestbedError with the words of the tool that failed */
  static async start(holder: Holder, options: InstanceOptions, log: Log): Promise<Instance> {
    const root = openSync('/', 'r');
    try {
      const argv = holder.enter([
        'unshare',
        ...['--mount', '--pid', '--fork', '--kill-child', '--ipc', '--uts', '--cgroup'],
        ...(options.ownNetwork ? ['--net'] : []),
        ...['--', 'sh', '-c', scriptText('on-host', 'setup.sh'), 'setup'],
        ...[options.hostname, options.upper, options.fstab, options.ownNetwork ? 'own' : 'host'],
        ...[scriptText('in-testbed', 'pid1.sh'), options.copy.join('\n')],
      ]);
      const unshare = await spawnHost(argv, log, {
        // Descriptor 9: the host's root directory, see setup.sh.
        stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'ignore', 'ignore', 'ignore', 'ignore', 'ignore', root],
        env: { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin` },
        cleanEnv: true,
        detached: true,
      });
      const lifeline = lifelineOf(unshare);
      const complaints = textOf(unshare.child.stderr);
      const line = await firstLine(unshare.child.stdout);
      const ready = /^ready (\d+) (\d+)$/.exec(line);
      if (ready?.[1] === undefined || ready[2] === undefined) {
        lifeline.destroy();
        await unshare.exited;
        const words = [line, await complaints].join(' ').trim();
        throw new TestbedError(
          `making a testbed failed: ${words}; virt-ts-unshare doctor says what this machine lacks`,
        );
      }
      unshare.child.stderr?.destroy();
      unshare.child.unref();
      return new Instance(Number(ready[1]), ready[2], unshare, lifeline, log);
    } finally {
      closeSync(root);
    }
  }

  /** False once pid 1 has ended, for whatever reason. */
  get alive(): boolean {
    return !this.#dead && processState(this.pid)?.startTime === this.startTime;
  }

  /** Resolves when pid 1 has ended and been reaped, and with it every process inside. */
  get ended(): Promise<unknown> {
    return this.#unshare.exited;
  }

  /**
   * Ends pid 1 and waits for the proof that nothing is left: the kernel lets the parent reap it only after every other
   * member of the pid namespace is dead and reaped. Then the processes that entered from outside (nsenter, waiting for a
   * child that is no more) have to let go of the mount namespace too, and with its last process the kernel frees its mounts.
   * @throws TestbedError that names what is left when that takes longer than 30 s
   */
  async stop(): Promise<void> {
    this.#unshare.child.ref();
    const entered = this.#entered();
    if (this.alive) signalProcess(this.pid, 'SIGKILL');
    this.#lifeline.destroy();
    const late = await Promise.race([this.ended.then(() => false), after(500).then(() => true)]);
    if (late) await this.#unblock(entered);
    // Asked of the processes, not of the namespace: its number is given to the next one at once.
    if (!(await waitUntil(() => entered.every((one) => !runs(one)), END_LIMIT))) throw this.#left(entered);
  }

  /** Who is in the mount namespace while pid 1 still keeps it from being another's. */
  #entered(): ProcessState[] {
    const namespace = this.#mountNamespace;
    if (namespace === undefined || !this.alive) return [];
    return membersOf('mnt', namespace).flatMap((pid) => processState(pid) ?? []);
  }

  /**
   * A dead process whose parent is outside and does not reap it (an nsenter that somebody has stopped) holds up pid 1: end
   * those that came in by nsenter.
   */
  async #unblock(entered: readonly ProcessState[]): Promise<void> {
    const end = performance.now() + END_LIMIT;
    while (!this.#dead) {
      if (performance.now() > end) throw this.#left(entered);
      for (const one of entered) {
        if (one.pid === this.#unshare.pid || one.pid === this.pid || !runs(one)) continue;
        this.#log.debug(`ending ${one.pid} (${commandLine(one.pid)}), which holds up the end of the testbed`);
        signalProcess(one.pid, 'SIGCONT');
        signalProcess(one.pid, 'SIGKILL');
      }
      await Promise.race([this.ended, after(20)]);
    }
  }

  #left(entered: readonly ProcessState[]): TestbedError {
    const names = entered.filter(runs).map(({ pid }) => `${pid} (${commandLine(pid)})`);
    return new TestbedError(
      `a testbed does not end: still there after ${END_LIMIT / 1000} s: pid ${names.join(', ') || this.pid}; end them by hand`,
    );
  }
}

/** Whether it is still this process, and more than a zombie: a zombie has let go of its namespaces. */
function runs({ pid, startTime }: ProcessState): boolean {
  const now = processState(pid);
  return now !== undefined && now.startTime === startTime && now.state !== 'Z';
}

function after(milliseconds: number): Promise<void> {
  // Without ref: a timer that lost a race must not keep the program from ending.
  return new Promise((resolve) => setTimeout(resolve, milliseconds).unref());
}
