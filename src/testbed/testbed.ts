import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { isatty } from 'node:tty';
import type { ArchiveSource } from '../copy/archive-source.ts';
import type { MoverWay } from '../copy/types.ts';
import { messageOf, TestbedError } from '../errors.ts';
import type { OperationFacts, Recorder } from '../events/recorder.ts';
import type { OnEvent } from '../events/types.ts';
import { helperWords } from '../helper.ts';
import { type Argv, type HostProcess, type StdioList, spawnHost } from '../host.ts';
import type { Leak } from '../leaks/leak.ts';
import type { LeakMoment } from '../leaks/report.ts';
import { callersOpenFiles } from '../processes/open-files.ts';
import { within } from '../wait.ts';
import { connect, type Endpoint } from './connect.ts';
import { Copies } from './copies.ts';
import {
  type CommandPlace,
  endOfCommand,
  executeCommand,
  NotRunError,
  pidInside,
  runCommand,
  type StartedCommand,
  startCommand,
  type Target,
} from './execute.ts';
import { killable } from './killing.ts';
import { isRebooted, Life, type Opening } from './life.ts';
import type { TestbedMaker } from './maker.ts';
import type { Snapshot } from './snapshot.ts';
import { targetOf } from './target.ts';
import type { AttachOptions, CommitOptions, OpenTestbed, RunOptions, RunResult } from './types.ts';

/** The mark that autopkgtest-reboot-prepare waits for. */
const REBOOT_MARK = '/run/autopkgtest-reboot-prepare-mark';
/** Seconds for a reboot that a test does itself. */
const REBOOT_LIMIT = 300;
/** Status of a command that a reboot has ended. */
const KILLED = 137;

export class Testbed implements OpenTestbed {
  readonly #maker: TestbedMaker;
  readonly #life: Life;
  readonly #recorder: Recorder | undefined;
  readonly #copies: Copies;

  private constructor(maker: TestbedMaker, life: Life, recorder: Recorder | undefined) {
    this.#maker = maker;
    this.#life = life;
    this.#recorder = recorder;
    this.#copies = new Copies(this, maker, recorder);
  }

  /** @param onEvent gets its events; default: that of the maker's options */
  static async open(
    maker: TestbedMaker,
    {
      onEvent = maker.options.onEvent,
      ...opening
    }: Opening & { readonly onEvent?: OnEvent | undefined } = {},
  ): Promise<Testbed> {
    if (onEvent === undefined) return new Testbed(maker, await Life.begin(maker, opening), undefined);
    const { beginRecorded } = await import('./recording.ts');
    const { life, recorder } = await beginRecorded(maker, opening, onEvent);
    return new Testbed(maker, life, recorder);
  }

  /** Sends an event about it, if there is a listener. */
  #operation<T>(facts: () => OperationFacts, work: () => Promise<T>): Promise<T> {
    return this.#recorder === undefined ? work() : this.#recorder.operation(facts, work);
  }

  get scratchDirectory(): string {
    return this.#maker.scratchDirectory;
  }

  get executeCommand(): readonly string[] {
    return executeCommand(this.#target());
  }

  get name(): string {
    return this.#life.name;
  }

  get pid(): number {
    return this.#target().pid;
  }

  get ended(): Promise<void> {
    return this.#life.ended;
  }

  run(argv: Argv, options: RunOptions = {}): Promise<RunResult> {
    return this.#reported(() => runCommand(this.#target(), argv, options, this.#maker.log));
  }

  async #reported(work: () => Promise<RunResult>): Promise<RunResult> {
    try {
      return await this.#withLeaks(work);
    } finally {
      await this.#recorder?.settle();
    }
  }

  async #withLeaks(work: () => Promise<RunResult>): Promise<RunResult> {
    await this.#life.booted();
    const { instance } = this.#life.incarnation;
    const run = () =>
      work().catch(async (error: unknown) => {
        const isClosed = error instanceof NotRunError && error.code === 'CLOSED';
        if (!isClosed || !(await isRebooted(instance))) throw error;
        return { status: KILLED };
      });
    if (this.#maker.options.reportLeaks === undefined) return run();
    const before = await this.leaks();
    try {
      return await run();
    } finally {
      await this.#reportLeaks('command', before);
    }
  }

  async leaks(at?: LeakMoment): Promise<Leak[]> {
    await this.#life.booted();
    const { incarnation } = this.#life;
    const leaks = await this.#maker.leaks(incarnation).catch(async (error: unknown) => {
      // A reboot is the end of everything that was there.
      if (!incarnation.instance.alive && (await isRebooted(incarnation.instance))) return [];
      throw error;
    });
    if (at !== undefined) this.#recorder?.leaks(leaks, at);
    return leaks;
  }

  async #reportLeaks(at: LeakMoment, before: readonly Leak[]): Promise<void> {
    const { options, log } = this.#maker;
    const { reportLeaks: format, leakFile: file } = options;
    if (format === undefined && this.#recorder === undefined) return;
    try {
      const [{ newLeaks }, { reportLeaks }] = await Promise.all([
        import('../leaks/leak.ts'),
        import('../leaks/report.ts'),
      ]);
      const leaks = newLeaks(before, await this.leaks());
      this.#recorder?.leaks(leaks, at);
      if (format !== undefined) reportLeaks(leaks, at, { format, file });
    } catch (error) {
      log.warn(`cannot find out what was left at ${at}: ${messageOf(error)}`);
    }
  }

  /** A connection from the host to an address that is seen in the testbed. @throws ConnectError, TestbedError */
  async connect(place: Endpoint, signal: AbortSignal): Promise<Socket> {
    await this.#life.booted();
    return connect(this.#target(), place, { log: this.#maker.log, signal });
  }

  /** @param place of a command of the caller; none, or with `isPart`: a part of a copy, which has no event of its own */
  async start(
    argv: Argv,
    stdio: StdioList,
    place?: CommandPlace & { readonly isPart?: boolean },
  ): Promise<StartedCommand> {
    await this.#life.booted();
    const { instance } = this.#life.incarnation;
    const isPart = place === undefined || place.isPart === true;
    const target = isPart ? this.#quietTarget() : this.#target();
    const started = await startCommand(target, argv, stdio, this.#maker.log, place);
    return { ...started, rebooted: () => isRebooted(instance) };
  }

  /** Resolves when the events of all commands that have ended were sent. */
  async recorded(): Promise<void> {
    await this.#recorder?.settle();
  }

  attach(argv: Argv, { onStart, signal, ...place }: AttachOptions): Promise<RunResult> {
    return this.#reported(async () => {
      const { log } = this.#maker;
      const here = { ...place, keepTerm: isatty(0), attached: true };
      const started = await startCommand(this.#target(), argv, [0, 1, 2], log, here);
      onStart(started);
      return endOfCommand(started, argv, { signal });
    });
  }

  async startMover(way: MoverWay, stdio: StdioList): Promise<HostProcess> {
    await this.#life.booted();
    const { instance, layer } = this.#life.incarnation;
    const { log } = this.#maker;
    const holder = await this.#maker.holder();
    const words = helperWords('copy', '-u', String(holder.pid), ...(layer.largePages ? ['-m'] : []), ...way);
    const started = await spawnHost(words, log, { stdio, detached: true });
    return killable(started, () => (instance.alive ? instance.pid : undefined), log);
  }

  pidInside(started: HostProcess): number | undefined {
    return pidInside(started);
  }

  copyIn(hostPath: Buffer, testbedPath: Buffer): Promise<void> {
    return this.#copies.in(hostPath, testbedPath);
  }

  copyOut(testbedPath: Buffer, hostPath: Buffer): Promise<void> {
    return this.#copies.out(testbedPath, hostPath);
  }

  putArchive(archive: ArchiveSource, directory: Buffer): Promise<void> {
    return this.#copies.putArchive(archive, directory);
  }

  getArchive(path: Buffer): Promise<Readable> {
    return this.#copies.getArchive(path);
  }

  async shell(directory: string, env: Readonly<Record<string, string>>, tty: number): Promise<number> {
    await this.#life.booted();
    const target = this.#target();
    // Without its own session: job control needs the controlling terminal.
    const argv: Argv = [
      ...executeCommand(target, {
        cwd: directory,
        env,
        keepTerm: true,
        foreground: true,
        files: callersOpenFiles(),
      }),
      ...['sh', '-c', 'if [ -x /bin/bash ]; then exec bash -i; else exec sh -i; fi'],
    ];
    const started = await spawnHost(argv, this.#maker.log, { stdio: [tty, tty, tty] });
    return (await started.exited).status;
  }

  async reboot({ prepared = false } = {}): Promise<void> {
    await this.#life.booted();
    if (!prepared) return this.#life.reboot();
    const { instance } = this.#life.incarnation;
    // As README.virtualisation-server of autopkgtest has it: the test waits until the mark is gone.
    await runCommand(this.#quietTarget(), ['rm', '-f', REBOOT_MARK], {}, this.#maker.log);
    if (!(await within(instance.ended, REBOOT_LIMIT * 1000))) {
      throw new TestbedError(`the testbed was not rebooted from inside in ${REBOOT_LIMIT} s`, {
        code: 'NO_REBOOT',
        remedy: 'let the test call reboot(2) as root, as reboot -f does',
      });
    }
    await this.#life.booted();
    if (!this.#life.isOpen) {
      throw new TestbedError('the testbed did not start again after its reboot', {
        code: 'CLOSED',
        remedy: 'see the warning before this message, and open another one',
      });
    }
  }

  async revert(): Promise<void> {
    await this.#life.booted();
    await this.#operation(
      () => ({ event: 'revert' }),
      async () => {
        await this.#reportLeaks('revert', []);
        await this.#life.revert();
      },
    );
  }

  async snapshot(): Promise<Snapshot> {
    await this.#life.booted();
    await this.#life.checkRoom();
    return this.#operation(
      () => ({ event: 'snapshot' }),
      async () => {
        await this.#reportLeaks('snapshot', []);
        return this.#life.snapshot();
      },
    );
  }

  async commit(image: CommitOptions): Promise<string> {
    await this.#life.booted();
    return this.#operation(
      () => ({ event: 'commit', image: image.name }),
      () => this.#maker.commit(this.#life.incarnation, image),
    );
  }

  async close(): Promise<void> {
    await this.#life.booted();
    const recorder = this.#recorder;
    if (recorder === undefined) return this.#close();
    await recorder.end(() => this.#close());
    this.#maker.recorders.delete(recorder);
  }

  async #close(): Promise<void> {
    await this.#copies.end();
    if (this.#life.isOpen) await this.#reportLeaks('close', []);
    await this.#life.close();
  }

  #target(): Target {
    const journal = this.#recorder?.journal;
    return { ...this.#quietTarget(), ...(journal === undefined ? {} : { journal }) };
  }

  /** For commands that are a part of something else. */
  #quietTarget(): Target {
    return targetOf(this.#life.incarnation, this.#maker.options);
  }
}
