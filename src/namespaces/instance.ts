/** One set of namespaces with its pid 1: how it starts, and how it ends so that nothing of it is left. */
import { closeSync, openSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { TestbedError } from '../errors.ts';
import { type Argv, type HostProcess, spawnHost, textOf } from '../host.ts';
import type { Log } from '../log.ts';
import { systemPath } from '../processes/find.ts';
import { isAlive } from '../processes/identity.ts';
import { commandLine, signalProcess } from '../processes/list.ts';
import type { ProcessState } from '../processes/stat.ts';
import { compiledProgram, scriptText } from '../scripts.ts';
import { waitUntil, within } from '../wait.ts';
import { abortFuse } from './fuse.ts';
import type { Holder } from './holder.ts';
import { firstLine, lifelineOf } from './lifeline.ts';
import { keyringOf, makeMark } from './mark.ts';
import { Traces } from './traces.ts';

export interface InstanceOptions {
  readonly hostname: string;
  /** tmpfs options, or an absolute path in the holder: the folder for the upper layer. */
  readonly upper: string;
  /** Lines of fstab(5) over /mnt/root. */
  readonly fstab: string;
  readonly ownNetwork: boolean;
  /** Awaited before anything of fstab is mounted; its rejection is that of the start. */
  readonly ready: Promise<unknown>;
  /** Folders in the holder whose plain copy, one over the other, is the root; none: an overlay is. */
  readonly copy: readonly string[];
}

/** Milliseconds for the end of a set-up that has failed or has nothing to wait for any more. */
const SETUP_LIMIT = 2_000;
/** Milliseconds before somebody is looked for who keeps dead namespaces from going. */
const PATIENCE = 100;
/** Milliseconds for the end of what is dead already; the kernel may have gigabytes of pages to free. */
const END_LIMIT = 30_000;
/** Milliseconds for the mounts, when no process is left whose end could free them. */
const MOUNT_LIMIT = 10_000;

export class Instance {
  /** Host pid of pid 1. */
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: with the pid it names this process and no later one. */
  readonly startTime: string;
  /** What the execute program knows it by. */
  readonly mark: string;
  readonly #unshare: HostProcess;
  readonly #lifeline: Duplex;
  readonly #log: Log;
  readonly #traces: Traces;

  private constructor(
    pid: number,
    startTime: string,
    mark: string,
    unshare: HostProcess,
    lifeline: Duplex,
    traces: Traces,
    log: Log,
  ) {
    this.pid = pid;
    this.startTime = startTime;
    this.mark = mark;
    this.#unshare = unshare;
    this.#lifeline = lifeline;
    this.#traces = traces;
    this.#log = log;
  }

  /** @throws TestbedError with the words of the tool that failed */
  static async start(holder: Holder, options: InstanceOptions, log: Log): Promise<Instance> {
    const root = openSync('/', 'r');
    // By descriptor: root of the testbed may not be able to reach our files.
    const program = compiledProgram('take-root');
    const takeRoot = program === undefined ? undefined : openSync(program, 'r');
    const mark = makeMark();
    try {
      const words: Argv = [
        'unshare',
        ...['--mount', '--pid', '--fork', '--kill-child', '--ipc', '--uts', '--cgroup'],
        ...(options.ownNetwork ? ['--net'] : []),
        ...['--', 'sh', '-c', scriptText('on-host', 'setup.sh'), 'setup'],
        ...[options.hostname, options.upper, options.fstab, options.ownNetwork ? 'own' : 'host'],
        ...[scriptText('in-testbed', 'pid1.sh'), mark, options.copy.join('\n')],
      ];
      const unshare = await spawnHost(holder.enter(words, keyringOf(mark)), log, {
        // Descriptors 8 and 9: see setup.sh.
        stdio: [
          ...(['pipe', 'pipe', 'pipe', 'pipe', 'ignore', 'ignore', 'ignore', 'ignore'] as const),
          ...([takeRoot ?? 'ignore', root] as const),
        ],
        env: { PATH: systemPath() },
        cleanEnv: true,
        detached: true,
      });
      const lifeline = lifelineOf(unshare);
      const complaints = textOf(unshare.child.stderr);
      await tellReady(unshare, options.ready).catch((error: unknown) => {
        lifeline.destroy();
        throw error;
      });
      const line = await firstLine(unshare.child.stdout);
      const ready = /^ready (\d+) (\d+)$/.exec(line);
      if (ready?.[1] === undefined || ready[2] === undefined) {
        lifeline.destroy();
        // What has said something else than that it is ready may go on for ever.
        if (!(await within(unshare.exited, SETUP_LIMIT))) unshare.kill('SIGKILL');
        const { status } = await unshare.exited;
        const words =
          firstLines([line, await complaints].join(' ')) || `its set-up ended with status ${status}`;
        throw new TestbedError(
          `making a testbed failed: ${words}; virt-ts-unshare doctor says what this machine lacks`,
        );
      }
      unshare.child.stderr?.destroy();
      unshare.child.unref();
      const pid = Number(ready[1]);
      // A plain copy on a disk has no file system of its own as its root.
      const ownFileSystem = options.copy.length > 0 && options.upper.startsWith('/') ? '/dev/pts' : '';
      return new Instance(pid, ready[2], mark, unshare, lifeline, new Traces(pid, ownFileSystem), log);
    } finally {
      closeSync(root);
      if (takeRoot !== undefined) closeSync(takeRoot);
    }
  }

  /** False once pid 1 has ended, for whatever reason. */
  get alive(): boolean {
    return isAlive(this);
  }

  /**
   * Ends pid 1 and waits for two proofs that nothing is left. Processes: the kernel lets the parent reap pid 1 only after
   * every other member of the pid namespace is dead and reaped. Mounts: the kernel says when the root file system is
   * unmounted for good, that is, when whoever had entered the mount namespace has left it too.
   * @throws TestbedError that names what is left when that takes longer than 30 s
   */
  async stop(): Promise<void> {
    this.#unshare.child.ref();
    if (this.alive) signalProcess(this.pid, 'SIGKILL');
    this.#lifeline.destroy();
    try {
      const gone = Promise.all([this.#unshare.exited, this.#traces.unmounted]);
      if (!(await within(gone, PATIENCE))) await this.#hunt(gone);
      // Only after somebody has killed its parent can pid 1 be there still.
      if (!(await waitUntil(() => !this.alive, END_LIMIT))) throw this.#left([]);
      if (!this.#traces.watching) await this.#hunt(waitUntil(() => this.#holders().length === 0, END_LIMIT));
    } finally {
      this.#traces.release();
    }
  }

  /**
   * Ends whoever keeps the namespaces from going: a dead process whose parent outside does not reap it (an nsenter that was
   * stopped) holds up pid 1, and whoever entered by other tools holds the mounts. First they are told to go on, which is all
   * that a stopped one needs. Who is not even killed may wait for a FUSE file system of its own.
   */
  async #hunt(gone: Promise<unknown>): Promise<void> {
    const end = performance.now() + END_LIMIT;
    let mountsEnd = Number.POSITIVE_INFINITY;
    for (let pause = 20; ; pause = Math.min(2 * pause, 500)) {
      const holders = this.#holders();
      const now = performance.now();
      if (holders.length > 0 || isAlive(this)) mountsEnd = Number.POSITIVE_INFINITY;
      else if (mountsEnd === Number.POSITIVE_INFINITY) mountsEnd = now + MOUNT_LIMIT;
      if (now > Math.min(end, mountsEnd)) throw this.#left(holders);
      for (const { pid } of holders) {
        this.#log.debug(`ending ${pid} (${commandLine(pid)}), which holds up the end of the testbed`);
        signalProcess(pid, 'SIGCONT');
        // The parent of pid 1 has to reap it.
        if (pause > 20 && pid !== this.#unshare.pid) signalProcess(pid, 'SIGKILL');
      }
      if (pause > 20) {
        await abortFuse(
          holders.map(({ pid }) => pid),
          this.#log,
        );
      }
      if (await within(gone, pause)) return;
    }
  }

  #holders(): ProcessState[] {
    return this.#traces.holders().filter(isAlive);
  }

  #left(holders: readonly ProcessState[]): TestbedError {
    const name = ({ pid }: ProcessState) => `${pid} (${commandLine(pid)})`;
    const names = holders.length > 0 ? holders.map(name) : this.#traces.users().map(name);
    const what =
      holders.length > 0 || this.alive
        ? `still running in it: ${names.join(', ') || `its pid 1, ${this.pid}`}`
        : `its mounts are held by who has a file of it open: ${names.join(', ') || 'not ours to see'}`;
    return new TestbedError(`a testbed does not end: ${what}; end them by hand`);
  }
}

/** Says when what will be mounted is there, or ends who waits for that. */
async function tellReady({ child, exited, kill }: HostProcess, ready: Promise<unknown>): Promise<void> {
  // Who has failed already listens no more, and says why on stderr.
  child.stdin?.on('error', () => {});
  try {
    await ready;
  } catch (error) {
    // At the end of its input it ends, and unshare after it. Killed by an unshare that was killed, it might end later.
    child.stdin?.destroy();
    if (!(await within(exited, SETUP_LIMIT))) kill('SIGKILL');
    await exited;
    throw error;
  }
  child.stdin?.end('go\n');
}

/** A copy to a full disk complains about every file. */
function firstLines(text: string): string {
  const lines = text.trim().split('\n');
  return lines.length > 5 ? `${lines.slice(0, 5).join('\n')}\n…` : lines.join('\n');
}
