/**
 * A command on the machine's own root file system, with a /tmp, /dev/shm, mounts, processes and IPC of its own. It keeps
 * the caller's uid, gid, environment and working directory. Unlike a testbed it has no root file system of its own, no
 * holder and no execute command: one set of namespaces, one command.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { type Duplex, Readable } from 'node:stream';
import { TestbedError } from '../errors.ts';
import { helperWords } from '../helper.ts';
import { type Argv, type HostProcess, spawnHost, textOf } from '../host.ts';
import { parseEnded } from '../leaks/ended.ts';
import type { ProcessLeak } from '../leaks/leak.ts';
import type { Log } from '../log.ts';
import { readCaller } from '../namespaces/caller.ts';
import { abortFuse } from '../namespaces/fuse.ts';
import { chooseIdMaps, insideUser } from '../namespaces/idmap.ts';
import { startKeeper, userOptions } from '../namespaces/keeper.ts';
import { lifelineOf } from '../namespaces/lifeline.ts';
import { commandLine, signalProcess, treeOf } from '../processes/list.ts';
import { processState } from '../processes/stat.ts';
import { scriptPath, scriptText } from '../scripts.ts';
import { within } from '../wait.ts';

export interface IsolationOptions {
  /** Be uid 0, in a user namespace with the caller's subordinate ids where there are any. Real root is that already. */
  readonly root: boolean;
  /** An interactive shell: it is made the foreground job of the terminal, which is taken back afterwards. */
  readonly foreground: boolean;
  /** Descriptors of ours for the command's stdin, stdout and stderr. */
  readonly stdio: readonly [number, number, number];
  /** Added to our own environment. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * What an ordinary user is given: mounting, FUSE included, and chroot(2). Not what lets root pass over the modes of files:
 * a program that runs as an ordinary user must be refused what it is refused elsewhere.
 */
const GIVEN = '+sys_admin,+sys_chroot';
/** Bit of CAP_SYS_ADMIN in CapEff of /proc/PID/status (capabilities(7)). */
const SYS_ADMIN = 1n << 21n;

/** Seconds that a helper without progress is waited for, as the server's default. */
const DRAIN_TIMEOUT = 10;
/** Milliseconds before somebody is looked for who cannot be killed. */
const PATIENCE = 100;
/** Milliseconds for the end of what is dead already; the kernel may have gigabytes of pages to free. */
const END_LIMIT = 30_000;
const DIES_WITH_PARENT = ['setpriv', '--pdeathsig', 'KILL', '--'] as const;

export class Isolation {
  /** Host pid of pid 1. */
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: with the pid it names this process and no later one. */
  readonly startTime: string;
  /** Whether the namespaces belong to a user namespace of ours rather than to the one we are in. */
  readonly ownUsers: boolean;
  /** The uid inside for a uid of the host. */
  readonly insideUser: (uid: number) => number;
  readonly #unshare: HostProcess;
  readonly #lifeline: Duplex;
  readonly #reports: AsyncIterator<string>;
  readonly #stdio: IsolationOptions['stdio'];
  #stopping: Promise<void> | undefined;

  private constructor(
    ready: RegExpExecArray,
    users: UserNamespace,
    unshare: HostProcess,
    lifeline: Duplex,
    reports: AsyncIterator<string>,
    stdio: IsolationOptions['stdio'],
  ) {
    this.#stdio = stdio;
    this.pid = Number(ready[1]);
    this.startTime = ready[2] ?? '';
    this.ownUsers = users.own;
    this.insideUser = users.insideUser;
    this.#unshare = unshare;
    this.#lifeline = lifeline;
    this.#reports = reports;
  }

  /**
   * Makes the namespaces; the command waits for `run`, so that what is there before can be told from what it leaves.
   * @throws TestbedError with the words of what the machine refused
   */
  static async prepare(argv: Argv, options: IsolationOptions, log: Log): Promise<Isolation> {
    const users = await userNamespace(options.root, log);
    const [stdin, stdout, stderr] = options.stdio;
    try {
      const unshare = await spawnHost(
        [
          // Should we die by whatever death, the kernel ends unshare, and with it pid 1 and all that is inside.
          ...DIES_WITH_PARENT,
          ...(options.foreground
            ? ['/bin/sh', scriptPath('on-host', 'foreground.sh'), ...DIES_WITH_PARENT]
            : []),
          ...users.unshare,
          ...['--mount', '--pid', '--fork', '--kill-child', '--ipc', '--'],
          ...['sh', '-c', scriptText('on-host', 'isolate.sh'), 'isolate', users.capabilities],
          ...[options.foreground ? 'foreground' : '', ...argv],
        ],
        log,
        { stdio: [stdin, stdout, 'pipe', 'pipe', 'pipe', stderr], env: options.env },
      );
      const lifeline = lifelineOf(unshare);
      const complaints = textOf(unshare.child.stderr);
      const reports = linesOf(unshare);
      const line = await reports.next();
      const ready = /^ready (\d+) (\d+)$/.exec(line.done === true ? '' : line.value);
      if (ready === null) {
        lifeline.destroy();
        await unshare.exited;
        throw new TestbedError((await complaints).trim().split('\n').at(-1) ?? '');
      }
      return new Isolation(ready, users, unshare, lifeline, reports, options.stdio);
    } finally {
      users.release();
    }
  }

  /** Lets the command run, and gives its exit status, 128 + n for death by signal n. May be called once. */
  async run(log: Log): Promise<number> {
    this.#lifeline.write('\n');
    const line = await this.#reports.next();
    const status = /^ended (\d+)$/.exec(line.done === true ? '' : line.value)?.[1];
    if (status !== undefined) return Number(status);
    await this.stop(log);
    return (await this.#unshare.exited).status;
  }

  /**
   * Resolves when all that the command and its helpers had to write is written: helpers that still carry output are waited
   * for, others that hold it open are ended. Gives those.
   */
  async drain(log: Log): Promise<ProcessLeak[]> {
    if (!this.#hasMore()) return [];
    const [stdin, stdout, stderr] = this.#stdio;
    const tag = 10_000 + (this.pid % 40_000);
    const options = ['-p', this.pid, '-t', tag, '-d', DRAIN_TIMEOUT].map(String);
    const draining = await spawnHost(helperWords('drain', ...options), log, {
      stdio: [stdin, stdout, stderr, 'pipe'],
    });
    const told = draining.child.stdio.at(3);
    return parseEnded(await textOf(told instanceof Readable ? told : null));
  }

  /** Whether there is anybody but pid 1. */
  #hasMore(): boolean {
    try {
      return readdirSync(`/proc/${this.pid}/root/proc`).some((name) => /^\d+$/.test(name) && name !== '1');
    } catch {
      // The command may have unmounted it.
      return true;
    }
  }

  /**
   * Ends every process inside at once; the kernel frees what they held. Resolves when pid 1 has been reaped.
   * @throws TestbedError that names what is left when that takes longer than 30 s
   */
  stop(log: Log): Promise<void> {
    this.#stopping ??= this.#stop(log);
    return this.#stopping;
  }

  async #stop(log: Log): Promise<void> {
    if (processState(this.pid)?.startTime === this.startTime) signalProcess(this.pid, 'SIGKILL');
    this.#lifeline.destroy();
    const { exited } = this.#unshare;
    if (await within(exited, PATIENCE)) return;
    await abortFuse(treeOf(this.pid), log);
    if (await within(exited, END_LIMIT)) return;
    const left = treeOf(this.pid).map((pid) => `${pid} (${commandLine(pid)})`);
    this.#unshare.child.unref();
    throw new TestbedError(`what the command started does not end: ${left.join(', ')}; end it by hand`);
  }
}

/** What there is to say on descriptor 4, line by line. */
function linesOf(started: HostProcess): AsyncIterator<string> {
  const stream = started.child.stdio[4];
  if (!(stream instanceof Readable))
    throw new TestbedError('internal: isolate.sh was started without descriptor 4');
  stream.on('error', () => {});
  return createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]();
}

interface UserNamespace {
  readonly own: boolean;
  /** How unshare(1) gets into it or makes it. */
  readonly unshare: readonly string[];
  readonly capabilities: string;
  readonly insideUser: (uid: number) => number;
  release(): void;
}

async function userNamespace(root: boolean, log: Log): Promise<UserNamespace> {
  const caller = readCaller();
  const nothing = () => {};
  const same = (uid: number) => uid;
  if (caller.uid === 0 && maySysAdmin()) {
    return { own: false, unshare: ['unshare'], capabilities: '', insideUser: same, release: nothing };
  }
  if (!root || caller.uid === 0) {
    // --keep-caps: the capabilities of a new user namespace are lost at execve(2) by any uid but 0 unless they are ambient.
    const unshare = ['unshare', '--user', '--map-current-user', '--keep-caps'];
    const capabilities = caller.uid === 0 ? '' : GIVEN;
    return { own: true, unshare, capabilities, insideUser: same, release: nothing };
  }
  const idMap = chooseIdMaps(caller);
  const keeper = await startKeeper(idMap, log);
  const unshare = ['nsenter', '-t', String(keeper.pid), ...userOptions(idMap), '--', 'unshare'];
  const map = { stage: 'none', stageUsers: [], users: idMap.stageUsers } as const;
  return {
    ...{ own: true, unshare, capabilities: '', release: () => keeper.kill('SIGKILL') },
    insideUser: (uid) => insideUser(map, uid),
  };
}

function maySysAdmin(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
  return effective !== undefined && (BigInt(`0x${effective}`) & SYS_ADMIN) !== 0n;
}
