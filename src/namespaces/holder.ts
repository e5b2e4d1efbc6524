/**
 * Stage and holder: the processes that keep a server's user namespaces, so that maps are written once and every testbed
 * is entered from there. See docs/architecture.md.
 */
import { chownSync, writeFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { messageOf, reasonOf, TestbedError } from '../errors.ts';
import { type Argv, type HostProcess, mustRunHost, runHost, spawnHost, textOf } from '../host.ts';
import type { Log } from '../log.ts';
import { commandLine, treeOf } from '../processes/list.ts';
import { compiledProgram, scriptText } from '../scripts.ts';
import { within } from '../wait.ts';
import { type IdMaps, mapArguments, mapText } from './idmap.ts';
import { firstLine, lifelineOf } from './lifeline.ts';

/** Milliseconds for the end of stage and holder; stage.sh itself gives up on what cannot be killed after 2 s. */
const END_LIMIT = 5_000;

export class Holder {
  readonly idMap: IdMaps;
  /** Host pid of the process that keeps the holder's namespaces. */
  readonly pid: number;
  readonly #sources: readonly string[];
  readonly #stage: HostProcess;
  readonly #lifeline: Duplex;

  private constructor(
    idMap: IdMaps,
    pid: number,
    sources: readonly string[],
    stage: HostProcess,
    lifeline: Duplex,
  ) {
    this.idMap = idMap;
    this.pid = pid;
    this.#sources = sources;
    this.#stage = stage;
    this.#lifeline = lifeline;
  }

  /**
   * Starts stage and holder.
   * @param sources absolute paths of folders and files of the host that the testbeds will need
   * @param below host pid of a process in the stage's user namespace of a laboratory, to share it: only who has rights in
   *   both ends' network namespaces may connect them. Default: a user namespace of its own
   * @param meanwhile work for when there is nothing to do but wait
   * @throws TestbedError when the kernel or a tool refuses, with its words and the remedy
   */
  static async start(
    idMap: IdMaps,
    sources: readonly string[],
    log: Log,
    below?: number,
    meanwhile?: () => void,
  ): Promise<Holder> {
    const script: Argv = [
      ...newStage(idMap, below),
      ...['--mount', '--', 'sh', '-c', scriptText('on-host', 'stage.sh'), 'stage'],
      ...[mapText(idMap.users), mapText(idMap.groups), scriptText('on-host', 'abort-fuse.sh'), ...sources],
    ];
    const stage = await spawnHost(script, log, { stdio: ['pipe', 'pipe', 'pipe', 'pipe'], detached: true });
    const lifeline = lifelineOf(stage);
    const complaints = textOf(stage.child.stderr);
    try {
      if ((await firstLine(stage.child.stdout, { readOn: true })) !== 'up') throw new TestbedError('');
      if (below === undefined) await writeMaps(idMap, stage.pid, log);
      stage.child.stdin?.end('mapped\n');
      meanwhile?.();
      const pid = /^held (\d+)$/.exec(await firstLine(stage.child.stdout))?.[1];
      if (pid === undefined) throw new TestbedError('');
      stage.child.stderr?.destroy();
      stage.child.unref();
      return new Holder(idMap, Number(pid), sources, stage, lifeline);
    } catch (cause) {
      lifeline.destroy();
      stage.kill('SIGKILL');
      const words = [messageOf(cause), (await complaints).trim()].filter((part) => part !== '').join(': ');
      throw new TestbedError(
        `making the user namespaces of the testbeds failed: ${words}; virt-ts-unshare doctor says what this machine lacks`,
        { cause },
      );
    }
  }

  /** Where a source given at the start, or a path below one, is seen by what runs in the holder. */
  inside(hostPath: string): string {
    for (const [index, source] of this.#sources.entries()) {
      if (hostPath === source) return `/mnt/${index}`;
      if (hostPath.startsWith(`${source}/`)) return `/mnt/${index}${hostPath.slice(source.length)}`;
    }
    throw new TestbedError(`${hostPath} was not given to the stage, so the testbed cannot see it`);
  }

  /**
   * The argv that runs a host program as root of the holder's user namespace, in its mount namespace, cwd /.
   * @param keyring name of a session keyring for it, so that it cannot read the caller's keys. Default: the caller's own
   */
  enter(argv: Argv, keyring = ''): Argv {
    return this.#enter(this.pid, argv, keyring);
  }

  #enter(pid: number, argv: Argv, keyring = ''): Argv {
    const program = compiledProgram('into-holder');
    if (program !== undefined) {
      return [program, ...(this.idMap.single ? ['-k'] : []), String(pid), keyring, ...argv];
    }
    return ['nsenter', '-t', String(pid), ...userOptions(this.idMap), '-m', '--', ...argv];
  }

  /**
   * Makes root of the holder the owner of a folder of the caller's, which lies in a source.
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
        throw new TestbedError(`${what} failed: ${reasonOf(cause)}; name another place`, { cause });
      }
      return;
    }
    // The stage has no name for the group of another that a set-group-ID bit has given it.
    chownSync(path, -1, process.getegid?.() ?? -1);
    const ids = `${owner.outside}:${group.outside}`;
    await mustRunHost(this.#enter(this.#stage.pid, ['chown', ids, this.inside(path)]), log, what);
  }

  /** Removes an empty folder of any of the testbeds' owners, which lies in a source; says whether that was done. */
  async removeFolder(path: string, log: Log): Promise<boolean> {
    const { status } = await runHost(this.#enter(this.#stage.pid, ['rmdir', this.inside(path)]), log);
    return status === 0;
  }

  /**
   * Ends holder and stage and whatever still runs in the holder's user namespace, and resolves when all are gone.
   * @throws TestbedError that names what is left when that takes longer than 5 s
   */
  async stop(): Promise<void> {
    this.#stage.child.ref();
    this.#lifeline.destroy();
    if (await within(this.#stage.exited, END_LIMIT)) return;
    const left = treeOf(this.#stage.pid).map((pid) => `${pid} (${commandLine(pid)})`);
    throw new TestbedError(`the holder of the testbeds does not end: ${left.join(', ')}; end them by hand`);
  }
}

/**
 * nsenter gives up supplementary groups when it enters, which a map of one id, written without help, forbids, also to those
 * who are root in there and make namespaces below it.
 */
export function userOptions(idMap: IdMaps): readonly string[] {
  return idMap.single ? ['-U', '--preserve-credentials'] : ['-U'];
}

/**
 * The beginning of an argv for a process that is to be root of a stage's user namespace, up to unshare's further options.
 * @param below host pid of a process that is in it already. Default: a new one, whose maps are written by `writeMaps`
 *   before the process does anything that needs them
 */
export function newStage(idMap: IdMaps, below?: number): Argv {
  if (idMap.stage === 'none') return ['unshare'];
  if (below !== undefined) return ['nsenter', '-t', String(below), ...userOptions(idMap), '--', 'unshare'];
  // --keep-caps: execve(2) as a user without a map would lose all capabilities, but not the ambient ones.
  return ['unshare', '--user', '--keep-caps'];
}

/**
 * A process in a fresh user namespace with the stage's maps, there to be entered: an execve(2) after unshare(2)
 * but before the maps are written loses all capabilities, an nsenter afterwards has them.
 */
export async function startKeeper(idMap: IdMaps, log: Log): Promise<HostProcess> {
  const keeper = await spawnHost(['unshare', '--user', 'sh', '-c', 'echo up; exec cat'], log, {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const complaints = textOf(keeper.child.stderr);
  try {
    if ((await firstLine(keeper.child.stdout)) !== 'up') throw new TestbedError((await complaints).trim());
    await writeMaps(idMap, keeper.pid, log);
    return keeper;
  } catch (error) {
    keeper.kill('SIGKILL');
    throw new TestbedError(
      `making a user namespace failed: ${messageOf(error)}; virt-ts-unshare doctor says what this machine lacks`,
      {
        cause: error,
      },
    );
  }
}

/** The stage's own maps, which only somebody in its parent user namespace may write. */
export async function writeMaps(idMap: IdMaps, pid: number, log: Log): Promise<void> {
  if (idMap.stage === 'none') return;
  if (idMap.stage === 'self') {
    // Without CAP_SETGID in the parent a gid_map may only be written after setgroups(2) is given up.
    writeFileSync(`/proc/${pid}/setgroups`, 'deny');
    writeFileSync(`/proc/${pid}/uid_map`, mapText(idMap.stageUsers));
    writeFileSync(`/proc/${pid}/gid_map`, mapText(idMap.stageGroups));
    return;
  }
  const write = (tool: string, extents: IdMaps['users']) =>
    mustRunHost([tool, String(pid), ...mapArguments(extents)], log, 'writing an id map');
  await Promise.all([write('newuidmap', idMap.stageUsers), write('newgidmap', idMap.stageGroups)]);
}
