/** Makes the events of one testbed, from its opening to its close. */
import { messageOf, VirtError } from '../errors.ts';
import type { HelperEvent } from '../helper.ts';
import type { Leak } from '../leaks/leak.ts';
import type { Log } from '../log.ts';
import { isAlive, type ProcessName } from '../processes/identity.ts';
import { processState } from '../processes/stat.ts';
import { type Finished, finishedOf, type Started, startedOf } from './command-lines.ts';
import { Journal } from './journal.ts';
import { idOfState, learn, newFor } from './package-lists.ts';
import { type EventFacts, nextTestbed, now, rounded, send } from './session.ts';
import type { CommandEvent, EventFailure, LeakEvent, OnEvent } from './types.ts';

/** Of an event about something that takes time. */
type Timed = 'testbed' | 'time' | 'duration' | 'error';
type OfOperation<T> = T extends { readonly event: OperationName } ? Omit<T, Timed> : never;
type OperationName = 'open' | 'copy' | 'revert' | 'snapshot' | 'reboot' | 'commit' | 'close';
export type OperationFacts = OfOperation<EventFacts>;

interface RecorderOptions {
  readonly onEvent: OnEvent;
  readonly log: Log;
  /** Gives what helper/read.c writes; undefined when the file cannot be read. */
  readonly readStatus: () => Promise<string | undefined>;
}

export class Recorder {
  readonly #options: RecorderOptions;
  readonly #testbed = nextTestbed();
  readonly #journal: Journal | undefined;
  readonly #running = new Map<
    number,
    { readonly started: Started; readonly process: ProcessName | undefined }
  >();
  /** Events in the order in which commands ended, behind the reading of what dpkg changed. */
  #queue: Promise<void> = Promise.resolve();
  #isEnded = false;
  /** The packages of the last event. */
  #packages: string | undefined;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#journal = Journal.open(options.log, (event) => this.#onLine(event));
  }

  /** For the option -E of the execute program. */
  get journal(): string | undefined {
    return this.#journal === undefined ? undefined : `${this.#testbed}:${this.#journal.path}`;
  }

  /** Does the work between the events of what was before it and its own. @param facts may ask what is known at its end */
  async operation<T>(facts: () => OperationFacts, work: () => Promise<T>): Promise<T> {
    await this.settle();
    const time = now();
    let error: EventFailure | undefined;
    try {
      return await work();
    } catch (cause) {
      error = { code: cause instanceof VirtError ? cause.code : 'INTERNAL', message: messageOf(cause) };
      throw cause;
    } finally {
      await this.settle();
      this.#send({
        ...facts(),
        ...{ testbed: this.#testbed, time, duration: rounded(now() - time) },
        ...(error === undefined ? {} : { error }),
      });
    }
  }

  /** Learns the packages that the testbed begins with, because its first command may change them at once. */
  async learnPackages(): Promise<void> {
    const text = await this.#options.readStatus().catch(() => undefined);
    if (text !== undefined) learn(text);
  }

  leaks(leaks: readonly Leak[], at: LeakEvent['at']): void {
    for (const leak of leaks) this.#send({ event: 'leak', testbed: this.#testbed, time: now(), at, leak });
  }

  /** Resolves when the events of all commands that have ended were sent. */
  async settle(): Promise<void> {
    this.#journal?.flush();
    for (const [pid, { process }] of this.#running) {
      if (process !== undefined && this.#mayLive(process)) continue;
      // It may have ended after the flush.
      this.#journal?.flush();
      this.#end(pid, undefined);
    }
    await this.#queue;
  }

  /** Also when this process has no descriptor to look, for which no operation must fail. */
  #mayLive(process: ProcessName): boolean {
    try {
      return isAlive(process);
    } catch {
      return true;
    }
  }

  /** The close of the testbed; only the first has an event. */
  async end(work: () => Promise<void>): Promise<void> {
    if (this.#isEnded) return work();
    this.#isEnded = true;
    try {
      await this.operation(() => ({ event: 'close' }), work);
    } finally {
      this.#journal?.close();
    }
  }

  /** Without an event, when the testbed was not opened. */
  close(): void {
    this.#isEnded = true;
    this.#journal?.close();
  }

  #onLine(line: HelperEvent): void {
    const started = startedOf(line);
    if (started !== undefined) {
      const state = processState(started.pid);
      this.#running.set(started.pid, { started, process: state });
      this.#enqueue(() => this.#read(started.dpkg));
    }
    const finished = finishedOf(line);
    if (finished !== undefined) this.#end(finished.pid, finished);
  }

  #end(pid: number, finished: Finished | undefined): void {
    const running = this.#running.get(pid);
    if (running === undefined) return;
    this.#running.delete(pid);
    const { started } = running;
    const duration = rounded(finished?.duration ?? Math.max(0, now() - started.time));
    this.#enqueue(async () => {
      await this.#read(finished?.dpkg);
      this.#sendCommand(started, finished, duration);
    });
  }

  #sendCommand(
    { time, argv, truncated, dpkg }: Started,
    finished: Finished | undefined,
    duration: number,
  ): void {
    const packages = {
      ...this.#member('before', idOfState(dpkg)),
      ...this.#member('after', idOfState(finished?.dpkg)),
    };
    const status = finished?.status ?? -1;
    this.#send({
      ...{ event: 'command', testbed: this.#testbed, time, duration, argv },
      ...(truncated ? { truncated } : {}),
      ...(finished === undefined ? { killed: true } : finished.figures),
      ...(status < 0 ? {} : { status }),
      ...(Object.keys(packages).length === 0 ? {} : { packages }),
    });
  }

  /** A member of a command's packages, whose list the listener has got. */
  #member(when: 'before' | 'after', id: string | undefined): NonNullable<CommandEvent['packages']> {
    if (id === undefined) return {};
    const list = newFor(this.#options.onEvent, id, this.#packages);
    if (list !== undefined) this.#send({ event: 'packages', testbed: this.#testbed, time: now(), ...list });
    this.#packages = id;
    return { [when]: id };
  }

  async #read(state: string | undefined): Promise<void> {
    if (state === undefined || idOfState(state) !== undefined) return;
    await this.learnPackages();
  }

  #enqueue(work: () => Promise<void>): void {
    this.#queue = this.#queue.then(work).catch((error: unknown) => {
      this.#options.log.warn(`an event was lost: ${messageOf(error)}`);
    });
  }

  #send(facts: EventFacts): void {
    send(this.#options.onEvent, facts);
  }
}
