/**
 * Stage and holder: the processes that keep a server's user namespaces, so that id maps are written once and every testbed is made
 * from there. See docs/architecture.md.
 */
import { chownSync } from 'node:fs';
import { reasonOf, TestbedError } from '../errors.ts';
import { helperWords } from '../helper.ts';
import { type Argv, mustRunHost, runHost } from '../host.ts';
import type { Log } from '../log.ts';
import { commandLine, treeOf } from '../processes/list.ts';
import { Hold, type Run } from './hold.ts';
import { type IdMaps, mapText } from './idmap.ts';
import type { Step } from './steps.ts';

/** Milliseconds for the end of stage and holder; the stage itself gives up on what cannot be killed after 2 s. */
const END_LIMIT = 5_000;

export interface HolderOptions {
  readonly idMap: IdMaps;
  /** Absolute paths of directories and files of the host that the testbeds will need. */
  readonly sources: readonly string[];
  /** The same, read-only: root of a testbed cannot make them writable again. Default: none. */
  readonly readOnlySources?: readonly string[];
  readonly log: Log;
  /**
   * Host pid of a process in the stage's user namespace of a laboratory, to share it: only a process with rights in both ends'
   * network namespaces may connect them. Default: a user namespace of its own.
   */
  readonly below?: number | undefined;
  /** The stage has a network namespace of its own. Default: that of the caller. */
  readonly ownNetwork?: boolean;
  /** Work for the time until the namespaces are there. */
  readonly meanwhile?: (() => void) | undefined;
}

export class Holder {
  readonly idMap: IdMaps;
  readonly #sources: readonly string[];
  readonly #hold: Hold;

  private constructor(idMap: IdMaps, sources: readonly string[], hold: Hold) {
    this.idMap = idMap;
    this.#sources = sources;
    this.#hold = hold;
  }

  /** @throws TestbedError when the kernel or a tool refuses, with its words and the remedy */
  static async start({
    idMap,
    sources,
    readOnlySources = [],
    log,
    below,
    ownNetwork = false,
    meanwhile,
  }: HolderOptions): Promise<Holder> {
    const stage = idMap.stage === 'none' || below === undefined ? idMap.stage : String(below);
    const maps = [idMap.stageUsers, idMap.stageGroups, idMap.users, idMap.groups].map(mapText);
    const hold = await Hold.start(
      helperWords(
        'hold',
        ...(ownNetwork ? ['-n'] : []),
        ...[stage, ...maps, ...sources, ...readOnlySources.map((path) => `ro:${path}`)],
      ),
      log,
      meanwhile,
    );
    return new Holder(idMap, [...sources, ...readOnlySources], hold);
  }

  /** Host pid of the process that keeps the holder's namespaces. */
  get pid(): number {
    return this.#hold.pid;
  }

  /** False once it has ended, for whatever reason. */
  get alive(): boolean {
    return this.#hold.alive;
  }

  /** Host pid of the stage, in whose user namespace networks are connected. */
  get stagePid(): number {
    return this.#hold.stage.pid;
  }

  /** Where a source given at the start, or a path below one, is seen by what runs in the holder. */
  inside(hostPath: string): string {
    for (const [index, source] of this.#sources.entries()) {
      if (hostPath === source) return `/mnt/${index}`;
      if (hostPath.startsWith(`${source}/`)) return `/mnt/${index}${hostPath.slice(source.length)}`;
    }
    throw new TestbedError(`internal: ${hostPath} was not given to the stage`, { code: 'INTERNAL' });
  }

  /** Starts a process of the holder that runs steps, in new namespaces with these letters (helper/helper.h). */
  run(namespaces: string, steps: readonly Step[]): Run {
    return this.#hold.run(namespaces, steps);
  }

  /** Kills a process of `run`. */
  end(run: Run): void {
    this.#hold.end(run);
  }

  /** Continues stage and holder, in case that they were stopped. */
  wake(): void {
    this.#hold.wake();
  }

  /**
   * The argv that runs a host program as root of the holder's user namespace, in its mount namespace, with / as working directory.
   * @param keyring name of a session keyring for it, so that it cannot read the caller's keys. Default: the caller's own
   */
  enter(argv: Argv, keyring?: string): Argv {
    return this.#enter(this.pid, argv, keyring);
  }

  #enter(pid: number, argv: Argv, keyring?: string): Argv {
    return helperWords('enter', ...(keyring === undefined ? [] : ['-k', keyring]), String(pid), ...argv);
  }

  /**
   * Makes root of the holder the owner of a directory of the caller's, which lies in a source.
   * @throws TestbedError with the words of the kernel or the tool
   */
  async giveToRoot(path: string, log: Log): Promise<void> {
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
          remedy: 'name another directory by --scratch',
          cause,
        });
      }
      return;
    }
    // The stage has no name for the group that a set-group-ID bit of the parent has given it.
    chownSync(path, -1, process.getegid?.() ?? -1);
    const ids = `${owner.outside}:${group.outside}`;
    await mustRunHost(this.#enter(this.#hold.stage.pid, ['chown', ids, this.inside(path)]), log, what);
  }

  /** Removes an empty directory that belongs to any user of the testbeds and lies in a source; says whether it is removed. */
  async removeFolder(path: string, log: Log): Promise<boolean> {
    const { status } = await runHost(this.#enter(this.#hold.stage.pid, ['rmdir', this.inside(path)]), log);
    return status === 0;
  }

  /**
   * Ends holder and stage and every process that still runs in the holder's user namespace, and resolves when all are gone.
   * @throws TestbedError that names what is left when that takes longer than 5 s
   */
  async stop(): Promise<void> {
    if (await this.#hold.close(END_LIMIT)) return;
    const left = treeOf(this.#hold.stage.pid).map((pid) => `${pid} (${commandLine(pid)})`);
    throw new TestbedError(`the holder of the testbeds does not end: ${left.join(', ')}`, {
      code: 'LEFT_OVER',
      remedy: 'kill these processes by hand',
    });
  }
}
