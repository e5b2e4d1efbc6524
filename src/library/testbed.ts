import { statSync } from 'node:fs';
import type { Socket } from 'node:net';
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { type ArchiveSource, watchSource } from '../copy/archive-source.ts';
import { CopyError, reasonOf, systemCodeOf, TestbedError, UsageError } from '../errors.ts';
import type { OnEvent } from '../events/types.ts';
import type { Leak } from '../leaks/leak.ts';
import { Testbed as InnerTestbed } from '../testbed/testbed.ts';
import { checkAddress, checkPort, checkText, notAllowed } from './checks.ts';
import type { Command, CommandOptions, RunningCommand, RunOptions, RunResult } from './command.ts';
import type { OpenOptions } from './open-options.ts';
import { ownersOf } from './owners.ts';
import { forget, leave, type Shared, sharedProvider } from './providers.ts';
import { type FromSnapshot, makeSnapshot, type Snapshot, snapshotOf } from './snapshot.ts';
import { runToEnd, startPiped } from './start.ts';
import { Unit, withoutInit } from './unit.ts';
import { waitFor } from './wait.ts';
import type { Condition, Ready, WaitOptions } from './wait-types.ts';
import type { FilesToWrite } from './write.ts';

/**
 * A Debian system for tests: a layer over a root filesystem, which the testbed cannot change, in namespaces of its own. It is
 * gone after `close`, and after the death of this process by any cause.
 *
 * Errors: a {@link UsageError} for a wrong option, a {@link TestbedError} when the testbed could not be made or is broken. For a
 * command or a copy that failed in a good testbed: {@link CommandTimeoutError}, {@link CommandFailedError},
 * {@link OutputLimitError}, {@link ConnectError}, {@link CopyError} or {@link CopyTimeoutError}. All are {@link VirtError}s: `message` is one sentence,
 * `code` a word to compare, `remedy` what to do about it.
 */
export class Testbed {
  readonly #shared: Shared;
  readonly #inner: InnerTestbed;
  readonly #onEvent: OnEvent | undefined;
  #closed = false;
  /** Aborted when what runs in the testbed ends. */
  #life = new AbortController();

  private constructor(parts: Parts) {
    // JavaScript can call it.
    if (Object(parts) !== parts) throw notConstructed();
    const { shared, inner, onEvent } = parts;
    this.#shared = shared;
    this.#inner = inner;
    this.#onEvent = onEvent;
  }

  /**
   * Opens a fresh testbed. The first one of a process may take seconds, when the root filesystem has to be unpacked or built;
   * each further one with the same options takes some 20 milliseconds. With `from` it has the files of a snapshot.
   * @throws {@link UsageError}, {@link TestbedError}
   * @throws the reason of `signal` when that is aborted before; what was made for this testbed is gone
   */
  static async open(options: OpenOptions | FromSnapshot = {}): Promise<Testbed> {
    const from = snapshotOf(options);
    const signal = signalOf(options);
    signal?.throwIfAborted();
    const shared = from?.shared ?? sharedProvider(options);
    if (shared.ownPlace && shared.testbeds > 0) throw placeTaken();
    shared.users += 1;
    shared.testbeds += 1;
    try {
      await shared.checked;
      const onEvent = from === undefined ? onEventOf(options) : from.onEvent;
      const inner = await InnerTestbed.open(shared.provider, { from: from?.inner, onEvent, signal });
      return new Testbed({ shared, inner, onEvent });
    } catch (error) {
      shared.users -= 1;
      shared.testbeds -= 1;
      if (shared.users === 0) await forget(shared);
      throw error;
    }
  }

  /** A directory in the testbed where all its users may write. */
  get scratchDirectory(): string {
    return this.#inner.scratchDirectory;
  }

  /**
   * Its name for `virt-ts-unshare ps`, `exec` and the like: the host name, with a number behind it where another open testbed with the
   * same options has that name.
   */
  get name(): string {
    return this.#inner.name;
  }

  /** Its host name, which resolves in it. The testbeds with the same options have the same one. */
  get hostname(): string {
    return this.#shared.provider.hostname;
  }

  /** Pid on the host of the testbed's pid 1. Changes at `revert` and `snapshot`. */
  get pid(): number {
    return this.#inner.pid;
  }

  /** Words that, put before those of a command, make a host command that runs it. Valid until `revert`, `snapshot` or `close`. */
  get executeCommand(): readonly string[] {
    return this.#inner.executeCommand;
  }

  /**
   * Runs a command to its end, and resolves when all its output has arrived. Background processes that hold the output
   * open are ended, and reported by `leaks`; those that closed it go on.
   *
   * A status other than 0 is a result like any other, unless `check` is set.
   * @throws {@link CommandFailedError} with `check`, when the status is not 0
   * @throws {@link CommandTimeoutError} after `timeout` seconds or an abort, when the command and all its processes are dead; it has
   * the captured output
   * @throws the error of a stream that you gave, when that fails; the command is dead
   * @throws {@link OutputLimitError} when more than `maxOutput` bytes would be captured; the command is dead
   * @throws {@link UsageError} when an option is wrong, or the testbed has no such directory or user
   * @throws {@link TestbedError} when the testbed is broken or closed
   */
  run<const O extends RunOptions = Record<never, never>>(
    command: Command,
    options?: O,
  ): Promise<RunResult<O>>;
  run(command: Command, options: RunOptions = {}): Promise<unknown> {
    return runToEnd(this.#place(), command, options);
  }

  /** Starts a command, with streams to it and from it. @throws {@link TestbedError} */
  start(command: Command, options: CommandOptions = {}): Promise<RunningCommand> {
    return startPiped(this.#place(), command, options);
  }

  /**
   * Waits until something is ready: `{ port: 5432 }` accepts a connection, `{ log: /ready/, of: running }` a line was written,
   * `{ http: 8080, path: '/health' }` a request is answered, `{ command: 'pg_isready' }` ends with status 0; or a list of these, for
   * all of them. Ports are those of the testbed's own network, also with `network: 'none'`; with `network: 'host'` those of the host.
   * @returns the line of `log`, status and body of `http`, the result of `command`; of a list, a list
   * @throws {@link NotReadyError} after `timeout` seconds (60), or at once when the command of `log` has ended; `seen` is what was seen last
   * @throws the reason of `signal` when that is aborted
   * @throws {@link TestbedError} at once when the testbed is closed or reverted
   */
  async waitFor<const C extends Condition | readonly Condition[]>(
    condition: C,
    options?: WaitOptions,
  ): Promise<Ready<C>>;
  async waitFor(condition: Condition | readonly Condition[], options: WaitOptions = {}): Promise<unknown> {
    return waitFor({ ...this.#place(), life: this.#life.signal }, condition, options);
  }

  /**
   * A unit of the testbed's systemd: `await testbed.unit('postgresql').start()`. Needs the option `init`.
   * @throws UsageError when the testbed has no init of its own, or the name is none of a unit
   */
  unit(name: string): Unit {
    if (this.#shared.provider.options.init === undefined) throw withoutInit();
    return new Unit(name, (command, options) => this.run(command, { ...options }));
  }

  /**
   * A connection from this process to a TCP port of the testbed, also with `network: 'none'`, for any client that takes a stream.
   * It ends with the testbed.
   * @param address an IP address that is seen in the testbed. Default: 127.0.0.1
   * @throws {@link ConnectError} when nothing accepts it there, {@link TestbedError}
   */
  async connect(port: number, address = '127.0.0.1'): Promise<Socket> {
    return this.#inner.connect({ address: checkAddress(address), port: checkPort(port) }, this.#life.signal);
  }

  /**
   * Copies a file, or the content of a directory into a directory, which is made if it is not there.
   * @param hostPath absolute, or relative to the working directory
   * @param testbedPath absolute
   * @throws {@link CopyError}, {@link CopyTimeoutError}, {@link TestbedError}
   */
  async copyIn(hostPath: string, testbedPath: string): Promise<void> {
    checkHostPath(hostPath);
    const from = resolve(hostPath);
    let slash: string;
    try {
      slash = statSync(from).isDirectory() ? '/' : '';
    } catch (cause) {
      if (systemCodeOf(cause) === undefined) throw cause;
      throw new CopyError(`cannot copy ${hostPath} into the testbed: ${reasonOf(cause)}`, {
        code: 'CANNOT_READ',
        remedy: 'name a file or directory that this user can read',
        cause,
      });
    }
    await this.#inner.copyIn(Buffer.from(from + slash), inTestbed(testbedPath, slash));
  }

  /**
   * Copies a file, or the content of a directory into a directory, which is made if it is not there. Nothing in the testbed can
   * make it write anywhere else.
   * @param testbedPath absolute
   * @param hostPath absolute, or relative to the working directory
   * @throws {@link CopyError}, {@link CopyTimeoutError}, {@link TestbedError}
   */
  async copyOut(testbedPath: string, hostPath: string): Promise<void> {
    inTestbed(testbedPath, '');
    checkHostPath(hostPath);
    const { isDirectoryInside } = await import('../copy/is-directory.ts');
    const slash = (await isDirectoryInside(this.#inner, testbedPath, this.#copyTime)) ? '/' : '';
    await this.#inner.copyOut(inTestbed(testbedPath, slash), Buffer.from(resolve(hostPath) + slash));
  }

  /**
   * Writes files from memory: `{ '/etc/x.conf': 'text', '/srv/run': { content, mode: 0o755, user: 'www-data' } }`. Directories that
   * are missing are made; a file or link at a path is replaced. What was written before a failure stays.
   * @throws {@link UsageError} when a path or option is wrong, or the testbed has no such user
   * @throws {@link CopyError}, {@link CopyTimeoutError}, {@link TestbedError}
   */
  async write(files: FilesToWrite): Promise<void> {
    const { checkFiles, packFiles } = await import('./write.ts');
    const checked = checkFiles(files);
    if (checked.length === 0) return;
    const users = checked.map(({ user }) => user);
    const owners = await ownersOf(this.#place(), users, this.#copyTime.timeout);
    await this.#inner.putArchive(packFiles(checked, owners), Buffer.from('/'));
  }

  /**
   * Unpacks a tar archive into a directory, which is made if it is not there. Owners (numbers), modes, times, links, holes and
   * `user.*` attributes are kept. Nothing of the archive arrives outside of the directory, except through a link that was in it
   * before. What was unpacked before a failure stays.
   * @param archive any stream of bytes, not compressed; it is destroyed when the copy fails
   * @param directory absolute path in the testbed
   * @throws {@link CopyError}, {@link CopyTimeoutError}, {@link TestbedError}
   */
  async putArchive(archive: ArchiveSource, directory: string): Promise<void> {
    watchSource(archive);
    await this.#inner.putArchive(archive, inTestbed(directory, ''));
  }

  /**
   * A file, or the content of a directory, as a stream of a tar archive, in which every entry has passed the checks of `copyOut`.
   * Names are relative to the directory; owners are those in the testbed. Read the stream to its end, or destroy it: the time
   * of a copy (`copyTimeout`) runs until then. It fails with a {@link CopyError} when an entry is refused.
   * @param path absolute path in the testbed
   * @throws {@link CopyError}, {@link CopyTimeoutError}, {@link TestbedError}
   */
  async getArchive(path: string): Promise<Readable> {
    return this.#inner.getArchive(inTestbed(path, ''));
  }

  /**
   * What exists now and did not at `open`, or the last `revert` or `snapshot`: files below /tmp, /var/tmp, /run and /dev/shm, mounts,
   * processes, IPC objects, network interfaces. They are looked for from outside, so that nothing in the testbed can hide. Also
   * the processes that were ended because they held a command's output open: those have `ended`.
   * @throws {@link TestbedError}
   */
  leaks(): Promise<Leak[]> {
    return this.#inner.leaks();
  }

  /**
   * Keeps the files as they are now, for `Testbed.open({ from })` and for `revert`, in milliseconds. It is of files, not of
   * processes: the testbed's processes are ended, as by a power failure, and it goes on over the snapshot without them. Bound
   * directories, /run, /dev/shm and what a test has mounted are no files of the testbed. Changes after it have all the memory of
   * `scratch` for themselves again.
   * @throws {@link TestbedError}; with code TOO_MANY_LAYERS, when too many snapshots lie over each other, the testbed is as before, and
   * else it is closed
   */
  async snapshot(): Promise<Snapshot> {
    this.#endWaits('its processes were ended by snapshot');
    return makeSnapshot({
      ...{ shared: this.#shared, onEvent: this.#onEvent },
      inner: await this.#inner.snapshot(),
    });
  }

  /**
   * Reboots: every process ends, the files stay, /run and /dev/shm are fresh and the boot id differs. A reboot(2) inside, as by
   * `reboot -f`, does the same.
   * @throws {@link TestbedError}
   */
  reboot(): Promise<void> {
    return this.#inner.reboot();
  }

  /**
   * Makes an image of all that was written over the root filesystem, for `Testbed.open({ release: name })`, `--release` and
   * `rootfs`: a layer over what the testbed was opened from. Replaces a committed image of that name. The testbed's processes are
   * stopped while its files are copied, and go on: the image has the files of one moment. Bound files, /dev, /run and other mounts
   * are not in it, nor /etc/hostname, /etc/hosts and /etc/resolv.conf. See docs/images.md.
   * @returns the whole name, with the architecture
   * @throws {@link UsageError} when the name cannot be used, or the root filesystem is a directory @throws {@link TestbedError}
   */
  commit(name: string): Promise<string> {
    checkText('name', name ?? null, 'give a name for the image');
    return this.#inner.commit({ name });
  }

  /**
   * Back to the state at `open`, or at the last `snapshot`: what was started is dead, what was written is gone.
   * @throws {@link TestbedError}
   */
  revert(): Promise<void> {
    this.#endWaits('it was reverted');
    return this.#inner.revert();
  }

  /**
   * Resolves when every process, mount, namespace and file of the testbed is gone. May be called again.
   * @throws {@link TestbedError} that names what cannot be removed
   */
  async close(): Promise<void> {
    const isFirst = !this.#closed;
    this.#closed = true;
    this.#endWaits('it was closed');
    try {
      await this.#inner.close();
    } finally {
      if (isFirst) {
        this.#shared.testbeds -= 1;
        await leave(this.#shared);
      }
    }
  }

  /** `await using testbed = await Testbed.open()` closes it at the end of the block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #endWaits(why: string): void {
    this.#life.abort(new TestbedError(`the testbed has nothing to wait for: ${why}`, { code: 'CLOSED' }));
    this.#life = new AbortController();
  }

  #place() {
    return { testbed: this.#inner, pipes: this.#shared.pipes };
  }

  get #copyTime() {
    return { timeout: this.#shared.provider.options.copyTimeout };
  }
}

interface Parts {
  readonly shared: Shared;
  readonly inner: InnerTestbed;
  readonly onEvent: OnEvent | undefined;
}

function onEventOf({ onEvent }: OpenOptions): OnEvent | undefined {
  return onEvent;
}

/** @throws {@link UsageError} */
function signalOf(options: OpenOptions | FromSnapshot): AbortSignal | undefined {
  const signal: unknown = Object(options) === options ? options.signal : undefined;
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw notAllowed('signal', signal, 'give an AbortSignal');
}

function notConstructed(): UsageError {
  return new UsageError('a Testbed is not constructed', {
    code: 'WRONG_CALL',
    remedy: 'write await Testbed.open(options)',
  });
}

function placeTaken(): UsageError {
  return new UsageError(
    'the address of the testbed of the snapshot is in use: another testbed of its network is open',
    {
      code: 'ADDRESS_TAKEN',
      remedy: 'close that one first',
    },
  );
}

function checkHostPath(path: string): void {
  checkText('a path of the host', path ?? null, 'give a text');
}

function inTestbed(path: string, slash: string): Buffer {
  checkText('a path in the testbed', path ?? null, 'give a text');
  if (!path.startsWith('/')) {
    throw new UsageError(`${path} is not an absolute path`, {
      code: 'WRONG_VALUE',
      remedy: 'write it like /srv/file',
    });
  }
  return Buffer.from(path.replace(/\/+$/, '') + slash || '/');
}
