import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { isatty } from 'node:tty';
import type { ArchiveSource } from '../copy/archive-source.ts';
import type { CopyOptions, MoverWay } from '../copy/types.ts';
import { messageOf, TestbedError } from '../errors.ts';
import { helperWords } from '../helper.ts';
import { type Argv, type HostProcess, type StdioList, spawnHost } from '../host.ts';
import type { Leak } from '../leaks/leak.ts';
import type { LeakMoment } from '../leaks/report.ts';
import type { Log } from '../log.ts';
import type { Holder } from '../namespaces/holder.ts';
import { type Instance, REBOOTED } from '../namespaces/instance.ts';
import { callersOpenFiles } from '../processes/open-files.ts';
import { within } from '../wait.ts';
import { connect, type Endpoint } from './connect.ts';
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
import type { Incarnation } from './incarnation.ts';
import { killable } from './killing.ts';
import type { Layer } from './layer.ts';
import { Snapshot } from './snapshot.ts';
import type { Place, Standby } from './standby.ts';
import type {
  AttachOptions,
  CommitOptions,
  OpenTestbed,
  RunOptions,
  RunResult,
  TestbedOptions,
} from './types.ts';

type Copying = typeof import('../copy/copy.ts');

/** The mark that autopkgtest-reboot-prepare waits for. */
const REBOOT_MARK = '/run/autopkgtest-reboot-prepare-mark';
/** Seconds for a reboot that a test does itself. */
const REBOOT_LIMIT = 300;
/** Milliseconds until the holder has reported the end of a pid 1 that is gone. */
const REPORT_LIMIT = 1_000;
/** Status of a command that a reboot has ended. */
const KILLED = 137;
/** Milliseconds after a revert. */
const STANDBY_DELAY = 20;

const CLOSED = { code: 'CLOSED', remedy: 'open it first' };

export interface TestbedMaker {
  readonly options: TestbedOptions;
  readonly log: Log;
  readonly scratchDirectory: string;
  holder(): Promise<Holder>;
  /** Without a place: over a new layer on the root filesystem. */
  incarnate(place?: Place): Promise<Incarnation>;
  /** Makes an incarnation ahead, over a frozen layer or the root filesystem, where that is of use. */
  standBy(over: Layer | undefined): Promise<Standby | undefined>;
  /** @throws TestbedError when the kernel takes no layer over this one */
  checkRoomOver(layer: Layer): Promise<void>;
  leaks(incarnation: Incarnation): Promise<Leak[]>;
  commit(incarnation: Incarnation, image: CommitOptions): Promise<string>;
}

export class Testbed implements OpenTestbed {
  readonly #maker: TestbedMaker;
  #rebooting: Promise<void> | undefined;
  #incarnation: Incarnation | undefined;
  /** What a revert goes back to: the frozen layer of a snapshot, of which this is a user, or the root filesystem. */
  #over: Layer | undefined;
  #standby: Promise<Standby | undefined> | undefined;
  #standbyTimer: NodeJS.Timeout | undefined;
  readonly ended: Promise<void>;
  #tellEnded: () => void = () => {};

  private constructor(maker: TestbedMaker, incarnation: Incarnation, over: Layer | undefined) {
    this.#maker = maker;
    this.ended = new Promise((resolve) => {
      this.#tellEnded = resolve;
    });
    this.#begin(incarnation);
    this.#over = over;
  }

  static async open(maker: TestbedMaker, from?: Snapshot): Promise<Testbed> {
    const over = from?.layer;
    over?.keep();
    try {
      return new Testbed(maker, await maker.incarnate({ over }), over);
    } catch (error) {
      await over?.release().catch(() => {});
      throw error;
    }
  }

  get scratchDirectory(): string {
    return this.#maker.scratchDirectory;
  }

  get executeCommand(): readonly string[] {
    return executeCommand(this.#target());
  }

  get pid(): number {
    return this.#target().pid;
  }

  run(argv: Argv, options: RunOptions = {}): Promise<RunResult> {
    return this.#reported(() => runCommand(this.#target(), argv, options, this.#maker.log));
  }

  async #reported(work: () => Promise<RunResult>): Promise<RunResult> {
    await this.#booted();
    const { instance } = this.#opened();
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

  async leaks(): Promise<Leak[]> {
    await this.#booted();
    return this.#maker.leaks(this.#opened());
  }

  async #reportLeaks(at: LeakMoment, before: readonly Leak[]): Promise<void> {
    const { options, log } = this.#maker;
    if (options.reportLeaks === undefined) return;
    try {
      const [{ newLeaks }, { reportLeaks }] = await Promise.all([
        import('../leaks/leak.ts'),
        import('../leaks/report.ts'),
      ]);
      const leaks = newLeaks(before, await this.leaks());
      reportLeaks(leaks, at, { format: options.reportLeaks, file: options.leakFile });
    } catch (error) {
      log.warn(`cannot find out what was left at ${at}: ${messageOf(error)}`);
    }
  }

  /** A connection from the host to an address that is seen in the testbed. @throws ConnectError, TestbedError */
  async connect(place: Endpoint, signal: AbortSignal): Promise<Socket> {
    await this.#booted();
    return connect(this.#target(), place, { log: this.#maker.log, signal });
  }

  async start(argv: Argv, stdio: StdioList, place: CommandPlace = {}): Promise<StartedCommand> {
    await this.#booted();
    return startCommand(this.#target(), argv, stdio, this.#maker.log, place);
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
    await this.#booted();
    const { instance, layer } = this.#opened();
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
    return this.#copy(`copying ${hostPath} into the testbed`, (copying, options) =>
      copying.copyIn(this, hostPath, testbedPath, options),
    );
  }

  copyOut(testbedPath: Buffer, hostPath: Buffer): Promise<void> {
    return this.#copy(`copying ${testbedPath} out of the testbed`, (copying, options) =>
      copying.copyOut(this, testbedPath, hostPath, options),
    );
  }

  async putArchive(archive: ArchiveSource, directory: Buffer): Promise<void> {
    const { putArchive } = await import('../copy/put-archive.ts');
    const { idMap } = await this.#maker.holder();
    return putArchive(this, archive, directory, { ...this.#copyOptions(), owners: !idMap.single });
  }

  async getArchive(path: Buffer): Promise<Readable> {
    const { getArchive } = await import('../copy/get-archive.ts');
    return getArchive(this, path, this.#copyOptions());
  }

  #copyOptions(): CopyOptions {
    const { options, log } = this.#maker;
    return {
      log,
      timeout: options.copyTimeout,
      ...(options.maxCopyBytes === undefined ? {} : { maxBytes: options.maxCopyBytes }),
      ...(options.maxCopyEntries === undefined ? {} : { maxEntries: options.maxCopyEntries }),
    };
  }

  async #copy(what: string, copy: (copying: Copying, options: CopyOptions) => Promise<void>): Promise<void> {
    // An open waits for everything that is loaded before it.
    const [copying, { withCopyLine }] = await Promise.all([
      import('../copy/copy.ts'),
      import('../copy/shown-copy.ts'),
    ]);
    await withCopyLine(what, this.#copyOptions(), (options) => copy(copying, options));
  }

  async shell(directory: string, env: Readonly<Record<string, string>>, tty: number): Promise<number> {
    await this.#booted();
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
    await this.#booted();
    if (!prepared) return this.#restart();
    const { instance } = this.#opened();
    // As README.virtualisation-server of autopkgtest has it: the test waits until the mark is gone.
    await runCommand(this.#target(), ['rm', '-f', REBOOT_MARK], {}, this.#maker.log);
    if (!(await within(instance.ended, REBOOT_LIMIT * 1000))) {
      throw new TestbedError(`the testbed was not rebooted from inside in ${REBOOT_LIMIT} s`, {
        code: 'NO_REBOOT',
        remedy: 'let the test call reboot(2) as root, as reboot -f does',
      });
    }
    await this.#booted();
    this.#opened();
  }

  #restart(): Promise<void> {
    this.#rebooting ??= this.#bootAgain().finally(() => {
      this.#rebooting = undefined;
    });
    return this.#rebooting;
  }

  async #bootAgain(): Promise<void> {
    const old = this.#take('reboot');
    const { layer, report, instance } = old;
    try {
      await old.end({ keepLayer: true, keepReport: true });
      const before = { mark: instance.mark, report };
      this.#begin(await this.#maker.incarnate({ layer, before }));
    } catch (error) {
      report?.close();
      await layer.release().catch(() => {});
      throw error;
    }
  }

  #begin(incarnation: Incarnation): void {
    this.#incarnation = incarnation;
    void incarnation.instance.ended.then((status) => {
      if (this.#incarnation !== incarnation) return;
      if (status !== REBOOTED) return this.#tellEnded();
      this.#restart().catch((error: unknown) => {
        this.#maker.log.warn(messageOf(error));
        this.#tellEnded();
      });
    });
  }

  /** Waits for the end of a reboot, also of one that began inside. */
  async #booted(): Promise<void> {
    const { instance } = this.#incarnation ?? {};
    if (instance !== undefined && !instance.alive) await isRebooted(instance);
    // What follows reports that the testbed is closed.
    await this.#rebooting?.catch(() => {});
  }

  async revert(): Promise<void> {
    await this.#booted();
    await this.#reportLeaks('revert', []);
    const old = this.#take('revert');
    const standby = await this.#takeStandby();
    // Addresses and published ports are free only when the old one is gone.
    if (old.connection !== undefined) await old.end();
    // Else both may exist: they share only the read-only base.
    const [fresh, ended] = await Promise.allSettled([
      this.#maker.incarnate({ over: this.#over, standby }),
      old.connection === undefined ? old.end() : undefined,
    ]);
    if (fresh.status === 'fulfilled') this.#begin(fresh.value);
    if (ended.status === 'rejected') throw ended.reason;
    if (fresh.status === 'rejected') throw fresh.reason;
    // A testbed that was reverted is mostly reverted again; one that was not need not pay for it.
    this.#standbyTimer = setTimeout(() => {
      this.#standby = this.#maker.standBy(this.#over);
      this.#standby.catch(() => {});
    }, STANDBY_DELAY).unref();
  }

  /** What was made ahead for the next revert, which is no more of this testbed. */
  async #takeStandby(): Promise<Standby | undefined> {
    clearTimeout(this.#standbyTimer);
    const standby = this.#standby;
    this.#standby = undefined;
    return standby?.catch(() => undefined);
  }

  async snapshot(): Promise<Snapshot> {
    await this.#booted();
    const { layer } = this.#opened();
    await this.#maker.checkRoomOver(layer);
    await this.#reportLeaks('snapshot', []);
    const old = this.#take('snapshot');
    const standby = await this.#takeStandby();
    await standby?.end();
    try {
      // A layer must not be below another one while an overlay has it as its upper layer.
      await old.end({ keepLayer: true });
      this.#begin(await this.#maker.incarnate({ over: layer }));
    } catch (error) {
      await layer.release().catch(() => {});
      throw error;
    }
    const before = this.#over;
    this.#over = layer;
    layer.keep();
    await before?.release();
    return new Snapshot(layer);
  }

  async commit(image: CommitOptions): Promise<string> {
    await this.#booted();
    return this.#maker.commit(this.#opened(), image);
  }

  async close(): Promise<void> {
    await this.#booted();
    if (this.#incarnation !== undefined) await this.#reportLeaks('close', []);
    const [old, over] = [this.#incarnation, this.#over];
    this.#incarnation = undefined;
    this.#over = undefined;
    this.#tellEnded();
    const ends = await Promise.allSettled([
      old?.end(),
      this.#takeStandby().then((standby) => standby?.end()),
    ]);
    await over?.release();
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  #take(what: string): Incarnation {
    const incarnation = this.#incarnation;
    if (incarnation === undefined) throw new TestbedError(`${what}: the testbed is closed`, CLOSED);
    this.#incarnation = undefined;
    return incarnation;
  }

  #opened(): Incarnation {
    if (this.#incarnation === undefined) throw new TestbedError('the testbed is closed', CLOSED);
    return this.#incarnation;
  }

  #target(): Target {
    const { instance, report } = this.#opened();
    const { options } = this.#maker;
    return {
      pid: instance.pid,
      mark: instance.mark,
      holder: instance.holderPid,
      ownNetwork: options.network !== 'host',
      drainTimeout: options.drainTimeout,
      ...(report === undefined ? {} : { report }),
    };
  }
}

async function isRebooted({ ended }: Instance): Promise<boolean> {
  return (await within(ended, REPORT_LIMIT)) && (await ended) === REBOOTED;
}
