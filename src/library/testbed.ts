/** The library's testbed: the same one that the server opens, with paths and outputs as a program wants them. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { CopyError, systemCodeOf, UsageError } from '../errors.ts';
import type { Leak } from '../leaks/leak.ts';
import { Testbed as InnerTestbed } from '../testbed/testbed.ts';
import type { Command, CommandOptions, RunningCommand, RunOptions, RunResult } from './command.ts';
import type { OpenOptions } from './open-options.ts';
import { forget, type Shared, sharedProvider } from './providers.ts';
import { runToEnd, startPiped } from './start.ts';

/**
 * A Debian system of its own for tests: an overlay over a root filesystem that nothing in it can change, in namespaces of
 * its own. What happens in it is gone at `close`, and at the death of this process by whatever cause.
 *
 * Errors: a UsageError for a wrong option, a TestbedError when the testbed could not be made or is broken, and for a command
 * or a copy that failed in a good testbed CommandTimeoutError, CommandFailedError, OutputLimitError, CopyError or
 * CopyTimeoutError. All are VirtErrors; their message is one sentence, and `remedy` the part of it that says what to do.
 */
export class Testbed {
  readonly #shared: Shared;
  readonly #inner: InnerTestbed;
  #closed = false;

  private constructor(shared: Shared, inner: InnerTestbed) {
    this.#shared = shared;
    this.#inner = inner;
  }

  /**
   * Opens a fresh testbed. The first one of a process may take seconds (the root filesystem is unpacked or built if that
   * was never done), each further one with the same options some 20 milliseconds.
   * @throws UsageError, TestbedError
   */
  static async open(options: OpenOptions = {}): Promise<Testbed> {
    const shared = sharedProvider(options);
    shared.users += 1;
    try {
      await shared.checked;
      return new Testbed(shared, await InnerTestbed.open(shared.provider));
    } catch (error) {
      shared.users -= 1;
      // The next open is to try anew; those that are open have what they need.
      if (shared.users === 0) await forget(shared);
      throw error;
    }
  }

  /** A folder in the testbed that all its users may write to. */
  get scratchDirectory(): string {
    return this.#inner.scratchDirectory;
  }

  /** The testbed's name, which resolves in it. */
  get hostname(): string {
    return this.#shared.provider.hostname;
  }

  /** Pid of the testbed's pid 1 as the host sees it. Another one after `revert`. */
  get pid(): number {
    return this.#inner.pid;
  }

  /** Words that, put before a command's own, make one to run on the host. Valid until `revert`, `close` or our end. */
  get executeCommand(): readonly string[] {
    return this.#inner.executeCommand;
  }

  /**
   * Runs a command to its end, and resolves when all its output has arrived. Background processes that hold the output
   * open are ended, and told by `leaks`; those that closed it live on.
   *
   * A status other than 0 is a result like any other, unless `check` is set.
   * @throws CommandFailedError with `check`, when the status is not 0
   * @throws CommandTimeoutError after `timeout` seconds or an abort, when the command and all its processes are dead
   * @throws OutputLimitError when more than `maxOutput` bytes would be captured; the command is dead
   * @throws UsageError when it has no such directory or user
   * @throws TestbedError when the testbed is broken or closed
   */
  run<const O extends RunOptions = Record<never, never>>(
    command: Command,
    options?: O,
  ): Promise<RunResult<O>>;
  run(command: Command, options: RunOptions = {}): Promise<unknown> {
    return runToEnd(this.#place(), command, options);
  }

  /** Starts a command, with streams to it and from it. @throws TestbedError */
  start(command: Command, options: CommandOptions = {}): Promise<RunningCommand> {
    return startPiped(this.#place(), command, options);
  }

  /**
   * Copies a file, or the content of a folder into a folder, which is made if it is not there.
   * @param hostPath relative to our working directory, or absolute
   * @param testbedPath absolute
   * @throws CopyError, CopyTimeoutError, TestbedError
   */
  async copyIn(hostPath: string, testbedPath: string): Promise<void> {
    const from = resolve(hostPath);
    let slash: string;
    try {
      slash = statSync(from).isDirectory() ? '/' : '';
    } catch (cause) {
      if (systemCodeOf(cause) === undefined) throw cause;
      throw new CopyError(
        `cannot copy ${hostPath} into the testbed: ${systemCodeOf(cause)}; name what can be read`,
        { cause },
      );
    }
    await this.#inner.copyIn(Buffer.from(from + slash), inTestbed(testbedPath, slash));
  }

  /**
   * Copies a file, or the content of a folder into a folder, which is made if it is not there. Nothing in the testbed can
   * make it write anywhere else.
   * @param testbedPath absolute
   * @param hostPath relative to our working directory, or absolute
   * @throws CopyError, CopyTimeoutError, TestbedError
   */
  async copyOut(testbedPath: string, hostPath: string): Promise<void> {
    const { status } = await this.run(['sh', '-c', '[ -d "$1" ]', 'sh', testbedPath], {
      stdout: 'ignore',
      stderr: 'ignore',
    });
    const slash = status === 0 ? '/' : '';
    await this.#inner.copyOut(inTestbed(testbedPath, slash), Buffer.from(resolve(hostPath) + slash));
  }

  /**
   * What is there and was not at `open` or the last `revert`: files below /tmp, /var/tmp, /run and /dev/shm, mounts,
   * processes, IPC objects, network interfaces. Seen from outside, so nothing inside can hide. And the processes that were
   * ended since for holding a command's output open: those have `ended`.
   * @throws TestbedError
   */
  leaks(): Promise<Leak[]> {
    return this.#inner.leaks();
  }

  /** Back to the state at `open`: what was started is dead, what was written is gone. @throws TestbedError */
  revert(): Promise<void> {
    return this.#inner.revert();
  }

  /**
   * Resolves when every process, mount, namespace and file of the testbed is gone. May be called again.
   * @throws TestbedError that names what cannot be removed
   */
  async close(): Promise<void> {
    if (!this.#closed) this.#shared.users -= 1;
    this.#closed = true;
    await this.#inner.close();
    if (this.#shared.ownPlace) await forget(this.#shared);
  }

  /** `await using testbed = await Testbed.open()` closes it at the end of the block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #place() {
    return { testbed: this.#inner, pipes: this.#shared.pipes };
  }
}

function inTestbed(path: string, slash: string): Buffer {
  if (!path.startsWith('/')) throw new UsageError(`${path} is no path in a testbed; give an absolute one`);
  return Buffer.from(path.replace(/\/+$/, '') + slash || '/');
}
