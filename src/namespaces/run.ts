/** A run: a process that the holder makes for a request, as its events show it (helper/hold.c). */
import { type HelperEvent, type HelperFailure, isFailure } from '../helper.ts';
import { endedEarly, stepFailed } from './failures.ts';

export class Run {
  /** The host pid. Rejects when there are no namespaces for it. */
  readonly started: Promise<number>;
  /** Resolves when the steps are done and the process executes /bin/sh as pid 1. Rejects with the step that failed. */
  readonly ready: Promise<void>;
  /** Resolves when the last step waits for `Hold.go`: all others are done. */
  readonly standing: Promise<void>;
  /** Resolves with the status when the process was reaped: then a pid namespace whose pid 1 it was has no process left. */
  readonly ended: Promise<number>;
  readonly events: HelperEvent[] = [];
  #failure: HelperFailure | undefined;
  #start: (pid: number) => void = () => {};
  #getReady: () => void = () => {};
  #stand: () => void = () => {};
  #end: (status: number) => void = () => {};
  #fail: ((error: Error) => void)[] = [];

  constructor() {
    this.started = new Promise((resolve, reject) => {
      this.#start = resolve;
      this.#fail.push(reject);
    });
    this.ready = new Promise((resolve, reject) => {
      this.#getReady = resolve;
      this.#fail.push(reject);
    });
    this.standing = new Promise((resolve, reject) => {
      this.#stand = resolve;
      this.#fail.push(reject);
    });
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    // Not every caller waits for all of them.
    this.started.catch(() => {});
    this.ready.catch(() => {});
    this.standing.catch(() => {});
  }

  get failure(): HelperFailure | undefined {
    return this.#failure;
  }

  take(event: HelperEvent): boolean {
    if (isFailure(event)) this.#failure = event;
    else if (event.event === 'started') this.#start(Number(event.pid));
    else if (event.event === 'ready') this.#getReady();
    else if (event.event === 'standing') this.#stand();
    else if (event.event !== 'ended') this.events.push(event);
    if (event.event !== 'ended') return false;
    this.finish(Number(event.status));
    return true;
  }

  finish(status: number): void {
    const error = this.#failure === undefined ? endedEarly(status) : stepFailed(this.#failure);
    for (const fail of this.#fail) fail(error);
    this.#end(status);
  }
}
