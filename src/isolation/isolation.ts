/**
 * A command on the host's own root filesystem with private /tmp, /dev/shm, mounts, processes and IPC objects, as the caller.
 * This file chooses user namespace and mounts; helper/isolate.c makes them.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { type Duplex, Readable } from 'node:stream';
import { systemCodeOf, TestbedError } from '../errors.ts';
import { failureText, type HelperEvent, helperWords, isFailure, parseEvent } from '../helper.ts';
import { type Argv, type HostProcess, spawnHost } from '../host.ts';
import { endedLeak } from '../leaks/ended.ts';
import type { ProcessLeak } from '../leaks/leak.ts';
import type { Log } from '../log.ts';
import { readCaller } from '../namespaces/caller.ts';
import { abortFuse } from '../namespaces/fuse.ts';
import { chooseIdMaps, insideUser, mapText } from '../namespaces/idmap.ts';
import { lifelineOf } from '../namespaces/lifeline.ts';
import { bind, mount, place, root, type Step } from '../namespaces/steps.ts';
import { describeProcess, treeOf } from '../processes/list.ts';
import { within } from '../wait.ts';

interface IsolationOptions {
  /** Be uid 0, with the caller's subordinate ids if there are any. */
  readonly root: boolean;
  readonly foreground: boolean;
  readonly stdio: readonly [number, number, number];
  readonly env: Readonly<Record<string, string>>;
}

interface IsolatedEnd {
  readonly status: number;
  readonly ended: readonly ProcessLeak[];
}

const SYS_ADMIN = 1n << 21n;
const KILLED = 137;
/** Milliseconds before a process is taken to wait for a FUSE file system. */
const PATIENCE = 100;
/** Milliseconds for the end of killed processes; the kernel may have gigabytes of pages to free. */
const END_LIMIT = 30_000;

export class Isolation {
  readonly pid: number;
  readonly insideUser: (uid: number) => number;
  readonly #helper: HostProcess;
  readonly #lifeline: Duplex;
  readonly #events: AsyncIterator<HelperEvent>;
  #stopping: Promise<void> | undefined;

  private constructor(
    pid: number,
    users: UserNamespace,
    {
      helper,
      lifeline,
      events,
    }: {
      readonly helper: HostProcess;
      readonly lifeline: Duplex;
      readonly events: AsyncIterator<HelperEvent>;
    },
  ) {
    this.pid = pid;
    this.insideUser = users.insideUser;
    this.#helper = helper;
    this.#lifeline = lifeline;
    this.#events = events;
  }

  /** Makes the namespaces. The command starts in `run`, so that the state before it can be read. @throws TestbedError */
  static async prepare(argv: Argv, options: IsolationOptions, log: Log): Promise<Isolation> {
    const users = userNamespace(options.root);
    const foreground = options.foreground ? ['-f'] : [];
    const steps = mountSteps().flat();
    const words = helperWords(
      ...(['isolate', ...foreground, users.how, users.users, users.groups] as const),
      ...[String(steps.length), ...steps, ...argv],
    );
    const helper = await spawnHost(words, log, {
      stdio: [...options.stdio, 'pipe', 'pipe'],
      env: options.env,
    });
    const lifeline = lifelineOf(helper);
    const events = eventsOf(helper);
    const { value: event } = await events.next();
    if (event?.event === 'ready')
      return new Isolation(Number(event.pid), users, { helper, lifeline, events });
    lifeline.destroy();
    await helper.exited;
    throw failure(event);
  }

  /** Resolves when all output of the command has been written; helper/drain.c ends processes that only hold it. */
  async run(log: Log): Promise<IsolatedEnd> {
    const ended: ProcessLeak[] = [];
    this.#lifeline.write('\n');
    for (;;) {
      const { value: event } = await this.#events.next();
      if (event?.event === 'done') return { status: Number(event.status), ended };
      if (event === undefined || isFailure(event)) {
        await this.stop(log);
        if (event === undefined) return { status: KILLED, ended };
        throw failure(event);
      }
      ended.push(...endedLeak(event));
    }
  }

  /** Kills every process inside and waits until pid 1 is reaped. @throws TestbedError that names what is left after 30 s */
  stop(log: Log): Promise<void> {
    this.#stopping ??= this.#stop(log);
    return this.#stopping;
  }

  async #stop(log: Log): Promise<void> {
    this.#lifeline.destroy();
    const { exited } = this.#helper;
    if (await within(exited, PATIENCE)) return;
    this.#helper.kill('SIGCONT');
    await abortFuse(treeOf(this.pid), log);
    if (await within(exited, END_LIMIT)) return;
    const left = treeOf(this.pid).map(describeProcess);
    this.#helper.child.unref();
    throw new TestbedError(`processes that the command started do not end: ${left.join(', ')}`, {
      code: 'NOT_ENDED',
      remedy: 'kill these processes by hand',
    });
  }
}

function failure(event: HelperEvent | undefined): TestbedError {
  const failed = event !== undefined && isFailure(event) ? event : undefined;
  const what = failed === undefined ? 'making the namespaces of the command failed' : failureText(failed);
  const code = failed?.code ?? 'NO_ISOLATION';
  return new TestbedError(what, { code, remedy: 'virt-ts-unshare doctor names the remedy' });
}

async function* eventsOf({ child }: HostProcess): AsyncGenerator<HelperEvent, undefined> {
  const stream = child.stdio[4];
  if (!(stream instanceof Readable))
    throw new TestbedError('internal: the helper has no descriptor 4', { code: 'INTERNAL' });
  stream.on('error', () => {});
  for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
    const event = parseEvent(line);
    if (event !== undefined) yield event;
  }
  return undefined;
}

/** Private directories, where the host has them. The working directory is kept if it lies below one. */
function mountSteps(): Step[] {
  const tmpfs = (path: string) => mount('tmpfs', path, 'nosuid,nodev,mode=1777');
  const here = workingDirectory();
  const keepsHere = here !== undefined && /^(\/tmp|\/dev\/shm)\/./.test(here);
  return [
    root('/'),
    tmpfs('/tmp'),
    ...(existsSync('/dev/shm') ? [tmpfs('/dev/shm')] : []),
    ...(existsSync('/dev/mqueue') ? [mount('mqueue', '/dev/mqueue', '')] : []),
    ...(keepsHere ? [place(here, 'directory'), bind('.', here)] : []),
    mount('proc', '/proc', 'nosuid,nodev,noexec'),
  ];
}

/** Undefined when it was removed. */
function workingDirectory(): string | undefined {
  try {
    return process.cwd();
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

interface UserNamespace {
  readonly how: 'none' | 'ranges' | 'self';
  readonly users: string;
  readonly groups: string;
  readonly insideUser: (uid: number) => number;
}

function userNamespace(root: boolean): UserNamespace {
  const caller = readCaller();
  const same = (uid: number) => uid;
  if (caller.uid === 0 && maySysAdmin()) return { how: 'none', users: '', groups: '', insideUser: same };
  if (!root || caller.uid === 0) {
    const [users, groups] = [caller.uid, caller.gid].map((id) => `${id} ${id} 1`);
    return { how: 'self', users: users ?? '', groups: groups ?? '', insideUser: same };
  }
  const { stage: how, stageUsers, stageGroups } = chooseIdMaps(caller);
  const map = { stage: 'none', stageUsers: [], users: stageUsers } as const;
  const inside = (uid: number) => insideUser(map, uid);
  return { how, users: mapText(stageUsers), groups: mapText(stageGroups), insideUser: inside };
}

function maySysAdmin(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
  return effective !== undefined && (BigInt(`0x${effective}`) & SYS_ADMIN) !== 0n;
}
