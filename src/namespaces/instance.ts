/** One set of namespaces with its pid 1: how it starts, and how it ends so that nothing of it is left. */
import { TestbedError } from '../errors.ts';
import type { Log } from '../log.ts';
import { isAlive, nameOf, type ProcessName } from '../processes/identity.ts';
import { commandLine, signalProcess } from '../processes/list.ts';
import type { ProcessState } from '../processes/stat.ts';
import { scriptText } from '../scripts.ts';
import { waitUntil, within } from '../wait.ts';
import { abortFuse } from './fuse.ts';
import type { Run } from './hold.ts';
import type { Holder } from './holder.ts';
import { keyringOf, makeMark } from './mark.ts';
import type { Step } from './steps.ts';
import * as steps from './steps.ts';
import { Traces } from './traces.ts';

/** Where `steps` have put the root filesystem, a mount point of the holder's. */
export const ROOT = '/mnt/root';

export interface InstanceOptions {
  /** What is made in the namespaces before pid 1 is started. */
  readonly steps: readonly Step[];
  readonly hostname: string;
  readonly ownNetwork: boolean;
  /** A mount point inside with a file system that no other mount namespace has. */
  readonly ownFileSystem: string;
  readonly log: Log;
}

/** Milliseconds before the processes are looked for that keep dead namespaces from going. */
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
  readonly #holder: Holder;
  readonly #run: Run;
  readonly #log: Log;
  readonly #traces: Traces;

  private constructor(
    process: ProcessName,
    mark: string,
    ends: { readonly holder: Holder; readonly run: Run; readonly traces: Traces; readonly log: Log },
  ) {
    this.pid = process.pid;
    this.startTime = process.startTime;
    this.mark = mark;
    this.#holder = ends.holder;
    this.#run = ends.run;
    this.#traces = ends.traces;
    this.#log = ends.log;
  }

  /** @throws TestbedError with the step that failed */
  static async start(holder: Holder, options: InstanceOptions): Promise<Instance> {
    const { hostname, ownNetwork, ownFileSystem, log } = options;
    const mark = makeMark();
    const run = holder.run(ownNetwork ? 'mptcni' : 'mptci', [
      steps.keyring(keyringOf(mark)),
      ...options.steps,
      ...(ownNetwork ? [steps.loopback()] : []),
      steps.hostname(hostname),
      steps.init(ROOT, mark, scriptText('in-testbed', 'pid1.sh')),
    ]);
    try {
      const [pid] = await Promise.all([run.started, run.ready]);
      return new Instance(nameOf(pid), mark, { holder, run, traces: new Traces(pid, ownFileSystem), log });
    } catch (error) {
      holder.end(run);
      await run.ended;
      throw error;
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
    this.#holder.end(this.#run);
    try {
      const gone = Promise.all([this.#run.ended, this.#traces.unmounted]);
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
        if (pause > 20) signalProcess(pid, 'SIGKILL');
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
    const name = ({ pid }: ProcessState) => `${pid} (${commandLine(pid)})`;
    const names = holders.length > 0 ? holders.map(name) : this.#traces.users().map(name);
    const what =
      holders.length > 0 || this.alive
        ? `still running in it: ${names.join(', ') || `its pid 1, ${this.pid}`}`
        : `its mounts are held by who has a file of it open: ${names.join(', ') || 'not ours to see'}`;
    return new TestbedError(`a testbed does not end: ${what}; end them by hand`);
  }
}
