/** Stage and holder: the processes that keep a server's user namespaces. See docs/architecture.md. */
import { chownSync } from 'node:fs';
import { reasonOf, TestbedError } from '../errors.ts';
import { helperWords } from '../helper.ts';
import { type Argv, mustRunHost, runHost } from '../host.ts';
import type { Log } from '../log.ts';
import { option } from '../option-words.ts';
import { describeProcess } from '../processes/list.ts';
import { randomInt } from '../random.ts';
import type { Groups } from './cgroups.ts';
import { survived } from './failures.ts';
import { Hold, type RunRequest } from './hold.ts';
import { type IdMaps, type IdRange, mapText, namespaceOwners } from './idmap.ts';
import type { Run } from './run.ts';
import type { Step } from './steps.ts';

/** Milliseconds; the stage itself gives up after 2 s for the holder, and 2 s for other processes. */
const END_LIMIT = 5_000;

interface HolderOptions {
  readonly idMap: IdMaps;
  readonly sources: readonly string[];
  /** The same, read-only: root of a testbed cannot make them writable. */
  readonly readOnlySources?: readonly string[];
  readonly log: Log;
  /**
   * Host pid of a process in the stage's user namespace of a laboratory, to share it: only a process with rights in both ends'
   * network namespaces may connect them. Default: a user namespace of its own.
   */
  readonly below?: number | undefined;
  readonly ownNetwork?: boolean;
  /** For testbeds with an init of their own. */
  readonly groups?: Groups | undefined;
  /** Ends a start that hangs. */
  readonly signal?: AbortSignal;
}

export class Holder {
  readonly idMap: IdMaps;
  /** Processes that do not end, which an error has named already. */
  readonly named = new Set<number>();
  readonly #sources: readonly string[];
  readonly #hold: Hold;
  /** The directory of its testbeds' cgroups. */
  readonly groups: string | undefined;
  readonly #owners: IdRange;
  #nextOwner: number;

  private constructor(
    idMap: IdMaps,
    sources: readonly string[],
    { hold, groups }: { hold: Hold; groups: Groups | undefined },
  ) {
    this.groups = groups?.own;
    this.idMap = idMap;
    this.#sources = sources;
    this.#hold = hold;
    this.#owners = namespaceOwners(idMap);
    // Other servers of the user have the same ids, for which the kernel counts keys.
    this.#nextOwner = randomInt(0, this.#owners.count);
  }

  static async start({
    idMap,
    sources,
    readOnlySources = [],
    log,
    below,
    ownNetwork = false,
    groups,
    signal,
  }: HolderOptions): Promise<Holder> {
    const stage = idMap.stage === 'none' || below === undefined ? idMap.stage : String(below);
    const maps = [idMap.stageUsers, idMap.stageGroups, idMap.users, idMap.groups].map(mapText);
    const hold = await Hold.start(
      helperWords(
        'hold',
        ...(ownNetwork ? ['-n'] : []),
        ...(groups === undefined
          ? []
          : ['-g', groups.own, ...groups.abandoned.flatMap((path) => ['-r', path])]),
        ...[stage, ...maps, ...sources, ...readOnlySources.map((path) => `ro:${path}`)],
      ),
      log,
      signal,
    );
    return new Holder(idMap, [...sources, ...readOnlySources], { hold, groups });
  }

  get pid(): number {
    return this.#hold.pid;
  }

  get alive(): boolean {
    return this.#hold.alive;
  }

  get stagePid(): number {
    return this.#hold.stage.pid;
  }

  inside(hostPath: string): string {
    for (const [index, source] of this.#sources.entries()) {
      if (hostPath === source) return `/mnt/${index}`;
      if (hostPath.startsWith(`${source}/`)) return `/mnt/${index}${hostPath.slice(source.length)}`;
    }
    throw new TestbedError(`internal: ${hostPath} was not given to the stage`, { code: 'INTERNAL' });
  }

  /** Starts a process that runs steps, in new namespaces with these letters (helper/helper.h). */
  run(namespaces: string, steps: readonly Step[]): Run {
    return this.#hold.run({ namespaces, steps });
  }

  /** An owner for `runBelow`, another one each time. */
  nextOwner(): number {
    this.#nextOwner = (this.#nextOwner + 1) % this.#owners.count;
    return this.#owners.start + this.#nextOwner;
  }

  /** As `run`, in a user namespace below the holder's, so that root there has no rights to other testbeds. */
  runBelow(request: RunRequest): Run {
    return this.#hold.run({ ...request, namespaces: `u${request.namespaces}` });
  }

  drop(path: string): Run {
    return this.#hold.drop(path);
  }

  /** Continues a run that waits in its last step. */
  go(run: Run): void {
    this.#hold.go(run);
  }

  end(run: Run): void {
    this.#hold.end(run);
  }

  /** This process may end though the run has not. */
  release(run: Run): void {
    this.#hold.release(run);
  }

  wake(): void {
    this.#hold.wake();
  }

  /**
   * Runs a host program as root of the holder, in a copy of its mount namespace, perhaps with another session keyring.
   * @param bare in the user namespace of the testbeds itself, with what is registered there in binfmt_misc(5)
   */
  enter(
    argv: Argv,
    { keyring, bare = false }: { readonly keyring?: string; readonly bare?: boolean } = {},
  ): Argv {
    const shielded = bare ? [] : ['-s'];
    const named = keyring === undefined ? [] : ['-k', keyring];
    return helperWords('enter', ...shielded, ...named, String(this.pid), ...argv);
  }

  #enter(pid: number, argv: Argv): Argv {
    return helperWords('enter', String(pid), ...argv);
  }

  /**
   * Makes root of the holder the owner of a directory in a source.
   * @param signal kills the program of the host that does it
   * @throws TestbedError
   */
  async giveToRoot(path: string, log: Log, signal?: AbortSignal): Promise<void> {
    const { idMap } = this;
    if (idMap.single) return;
    const [owner, group] = [idMap.users, idMap.groups].map((map) => map.find(({ inside }) => inside === 0));
    if (owner === undefined || group === undefined) return;
    const what = `giving ${path} to root of the testbeds`;
    if (idMap.stage === 'none') {
      try {
        chownSync(path, owner.outside, group.outside);
      } catch (cause) {
        throw new TestbedError(`${what} failed: ${reasonOf(cause)}`, {
          code: 'BAD_SCRATCH',
          remedy: `name another directory by ${option('scratch')}`,
          cause,
        });
      }
      return;
    }
    // A set-group-ID bit of the parent may have given it a group that is not mapped in the stage.
    chownSync(path, -1, process.getegid?.() ?? -1);
    const ids = `${owner.outside}:${group.outside}`;
    const chown = this.#enter(this.#hold.stage.pid, ['chown', ids, this.inside(path)]);
    await mustRunHost(chown, log, what, signal === undefined ? {} : { signal });
  }

  /** Removes an empty directory in a source that belongs to any user of the testbeds. False when it fails. */
  async removeFolder(path: string, log: Log): Promise<boolean> {
    const { status } = await runHost(this.#enter(this.#hold.stage.pid, ['rmdir', this.inside(path)]), log);
    return status === 0;
  }

  /**
   * Ends holder, stage and every process in the holder's user namespace.
   * @throws TestbedError that names what is left after at most 6 s, and is not in `named`
   */
  async stop(): Promise<void> {
    const left = (await this.#hold.close(END_LIMIT)).filter((pid) => !this.named.has(pid));
    if (left.length === 0) return;
    throw survived(
      'processes of testbeds, or of programs that worked for them, do not end',
      left.map(describeProcess),
    );
  }
}
