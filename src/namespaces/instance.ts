/** A set of namespaces with its pid 1: how it starts, and how it ends completely. */
import { TestbedError } from '../errors.ts';
import type { Log } from '../log.ts';
import { option } from '../option-words.ts';
import { isAlive, nameOf, type ProcessName } from '../processes/identity.ts';
import { commandLine, describeProcess, signalProcess } from '../processes/list.ts';
import type { ProcessState } from '../processes/stat.ts';
import { scriptText } from '../scripts.ts';
import { waitUntil, within } from '../wait.ts';
import { survived } from './failures.ts';
import { abortFuse } from './fuse.ts';
import type { Holder } from './holder.ts';
import { keyringOf, makeMark } from './mark.ts';
import type { Run } from './run.ts';
import type { Step } from './steps.ts';
import * as steps from './steps.ts';
import { Traces } from './traces.ts';

export const ROOT = '/mnt/root';

/** Status of a pid 1 that the kernel has ended for reboot(2), as by SIGHUP. (After a halt it is 130, as by SIGINT.) */
export const REBOOTED = 129;

export interface InstanceOptions {
  /** These run in the holder's mount namespace, so that what they mount outlives the instance. */
  readonly before: readonly Step[];
  readonly steps: readonly Step[];
  readonly hostname: string;
  readonly maxProcesses: number;
  readonly ownNetwork: boolean;
  /** Path of an init of the root filesystem, in a cgroup of its own. Default: the stub, pid1.sh. */
  readonly init?: string | undefined;
  /** A mount point with a file system that no other mount namespace has. */
  readonly ownFileSystem: string;
  /** Default: a random one. */
  readonly mark?: string | undefined;
  readonly log: Log;
}

/** Milliseconds before the processes that keep dead namespaces are looked for. */
const PATIENCE = 100;
/** Milliseconds for the end of killed processes; the kernel may have gigabytes of pages to free. */
const END_LIMIT = 30_000;
/** Milliseconds for the mounts, when no process is left whose end could free them. */
const MOUNT_LIMIT = 10_000;

/** An instance whose pid 1 is not executed yet. Call one of both functions, once. */
export interface StandingInstance {
  start(): Promise<Instance>;
  /** Resolves when the kernel has freed its mounts. */
  end(): Promise<void>;
}

interface Begun {
  readonly holder: Holder;
  readonly run: Run;
  readonly mark: string;
}

function begin(holder: Holder, options: InstanceOptions, when: 'now' | 'later'): Begun {
  const { hostname, ownNetwork, maxProcesses, init } = options;
  const mark = options.mark ?? makeMark();
  const owner = holder.nextOwner();
  const run = holder.runBelow({
    namespaces: ownNetwork ? 'mptcni' : 'mptci',
    owner,
    before: [steps.processes(maxProcesses), ...options.before],
    steps: [
      steps.keyring(keyringOf(mark), owner),
      ...options.steps,
      ...(ownNetwork ? [steps.loopback()] : []),
      steps.hostname(hostname),
      steps.init(ROOT, { mark, script: scriptText('in-testbed', 'pid1.sh'), when, program: init }),
    ],
    ...(init === undefined ? {} : { group: mark }),
  });
  return { holder, run, mark };
}

/** Ends a run that has not executed pid 1: no other process can be in its namespaces. */
async function stop({ holder, run }: Begun): Promise<void> {
  holder.end(run);
  await run.ended;
}

/** Of an init of the root filesystem. */
export function initEnded(path: string, status: number): TestbedError {
  return new TestbedError(`the init ${path} of the testbed ended with status ${status} while it booted`, {
    code: 'NOT_BOOTED',
    remedy: `look whether it starts in other containers, or use ${option('init', 'none')}`,
  });
}

export class Instance {
  readonly pid: number;
  readonly startTime: string;
  readonly mark: string;
  /** Of a testbed with an init: the file that moves a process to the cgroup for commands. */
  readonly commandGroup: string | undefined;
  readonly #holder: Holder;
  readonly #run: Run;
  readonly #log: Log;
  readonly #traces: Traces;

  private constructor(
    process: ProcessName,
    mark: string,
    ends: {
      readonly holder: Holder;
      readonly run: Run;
      readonly traces: Traces;
      readonly log: Log;
      readonly init: string | undefined;
    },
  ) {
    const { groups } = ends.holder;
    if (ends.init !== undefined && groups !== undefined) {
      this.commandGroup = `${groups}/${mark}/commands`;
    }
    this.pid = process.pid;
    this.startTime = process.startTime;
    this.mark = mark;
    this.#holder = ends.holder;
    this.#run = ends.run;
    this.#traces = ends.traces;
    this.#log = ends.log;
  }

  static start(holder: Holder, options: InstanceOptions): Promise<Instance> {
    return Instance.#of(begin(holder, options, 'now'), options);
  }

  /** Makes all but the execution of pid 1: nothing of the root filesystem runs before its start. */
  static async standBy(holder: Holder, options: InstanceOptions): Promise<StandingInstance> {
    const begun = begin(holder, options, 'later');
    try {
      await begun.run.standing;
    } catch (error) {
      await stop(begun);
      throw error;
    }
    return {
      start: () => {
        holder.go(begun.run);
        return Instance.#of(begun, options);
      },
      end: () => stop(begun),
    };
  }

  static async #of(begun: Begun, { ownFileSystem, log, init }: InstanceOptions): Promise<Instance> {
    const { holder, run, mark } = begun;
    try {
      const [pid] = await Promise.all([run.started, run.ready]);
      return new Instance(nameOf(pid), mark, {
        ...{ holder, run, traces: new Traces(pid, ownFileSystem), log, init },
      });
    } catch (error) {
      await stop(begun);
      if (init !== undefined && run.failure === undefined) throw initEnded(init, await run.ended);
      throw error;
    }
  }

  /** Resolves when pid 1 and every process in its pid namespace have ended; with REBOOTED after a reboot(2) inside. */
  get ended(): Promise<number> {
    return this.#run.ended;
  }

  get holderPid(): number {
    return this.#holder.pid;
  }

  get alive(): boolean {
    return isAlive(this);
  }

  /**
   * Kills pid 1 and waits for two proofs. The kernel lets the parent reap pid 1 only after every other member of the pid
   * namespace is reaped. inotify reports when the root filesystem is unmounted, that is, when every process has left the
   * mount namespace.
   * @throws TestbedError that names what is left after 30 s
   */
  async stop(): Promise<void> {
    this.#holder.end(this.#run);
    try {
      const gone = Promise.all([this.#run.ended, this.#traces.unmounted]);
      if (!(await within(gone, PATIENCE))) await this.#endHolders(gone);
      // Pid 1 remains only when its parent was killed.
      if (!(await waitUntil(() => !this.alive, END_LIMIT))) throw this.#left([]);
      if (!this.#traces.watching)
        await this.#endHolders(waitUntil(() => this.#holders().length === 0, END_LIMIT));
    } finally {
      this.#traces.release();
      this.#holder.release(this.#run);
    }
  }

  /**
   * Kills the processes that keep the namespaces: a dead process whose parent outside does not reap it (a stopped nsenter)
   * blocks pid 1, and a process that entered by other tools holds the mounts. SIGCONT is enough for a stopped one. A process
   * that survives SIGKILL may wait for a FUSE file system.
   */
  async #endHolders(gone: Promise<unknown>): Promise<void> {
    // A failure to look comes from here too, and perhaps first.
    gone.catch(() => {});
    const end = performance.now() + END_LIMIT;
    let mountsEnd = Number.POSITIVE_INFINITY;
    for (let pause = 20; ; pause = Math.min(2 * pause, 500)) {
      const holders = this.#holders();
      const now = performance.now();
      if (holders.length > 0 || isAlive(this)) mountsEnd = Number.POSITIVE_INFINITY;
      else if (mountsEnd === Number.POSITIVE_INFINITY) mountsEnd = now + MOUNT_LIMIT;
      if (now > Math.min(end, mountsEnd)) throw this.#left(holders);
      for (const holder of holders) {
        const { pid } = holder;
        this.#log.debug(`ending ${pid} (${commandLine(pid)}), which holds up the end of the testbed`);
        signalProcess(holder, 'SIGCONT');
        if (pause > 20) signalProcess(holder, 'SIGKILL');
      }
      if (pause > 20) {
        this.#holder.wake();
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
    const running = holders.length > 0 || !this.alive ? holders.map(({ pid }) => pid) : [this.pid];
    if (running.length > 0) {
      for (const pid of running) this.#holder.named.add(pid);
      return survived('a testbed does not end, still running in it', running.map(describeProcess));
    }
    const names = this.#traces.users().map(({ pid }) => describeProcess(pid));
    const what = `its mounts are held by processes with an open file in it: ${names.join(', ') || 'not visible to this user'}`;
    return new TestbedError(`a testbed does not end: ${what}`, {
      code: 'LEFT_OVER',
      remedy: 'kill these processes by hand',
    });
  }
}
