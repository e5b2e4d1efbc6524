/** Requests to stage and holder (protocol: helper/hold.c), and events from them. */
import type { Writable } from 'node:stream';
import { TestbedError } from '../errors.ts';
import { failureText, type HelperEvent, type HelperFailure, isFailure, parseEvent } from '../helper.ts';
import { type Argv, type HostProcess, spawnHost } from '../host.ts';
import type { Log } from '../log.ts';
import { systemPath } from '../processes/find.ts';
import { signalProcess } from '../processes/list.ts';
import { scarceRemedy } from '../scarce.ts';
import { within } from '../wait.ts';
import type { Step } from './steps.ts';

const DOCTOR = 'virt-ts-unshare doctor names what this machine lacks';
/** Milliseconds after which a process that does not answer gets SIGCONT. */
const PATIENCE = 1_000;

export interface RunRequest {
  /** Letters of new ones, as in helper/helper.h. With `u` the user namespace is below the holder's, with the same ids. */
  readonly namespaces: string;
  /** User of the holder to which a new user namespace belongs. Default: root. */
  readonly owner?: number;
  /** With `u`: these run before, in the holder's namespaces. */
  readonly before?: readonly Step[];
  readonly steps: readonly Step[];
  /** With `u`: name of its cgroup, which is made and removed with it. Default: that of the holder. */
  readonly group?: string;
}

export class Run {
  /** The host pid. Rejects when there are no namespaces for it. */
  readonly started: Promise<number>;
  /** Resolves when the steps are done and the process executes /bin/sh as pid 1. Rejects with the step that failed. */
  readonly ready: Promise<void>;
  /** Resolves when the steps are done but the last one, which waits for `Hold.go`. */
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
    // Not every caller waits for both.
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

/** Stage and holder, as the server sees them. */
export class Hold {
  readonly pid: number;
  /** False once stage or holder has ended. */
  alive = true;
  readonly #stage: HostProcess;
  readonly #runs = new Map<number, Run>();
  readonly #awaited = new Set<Run>();
  #next = 1;

  private constructor(stage: HostProcess, pid: number) {
    this.#stage = stage;
    this.pid = pid;
  }

  static async start(words: Argv, log: Log): Promise<Hold> {
    const stage = await spawnHost(words, log, {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: { PATH: systemPath() },
      cleanEnv: true,
      detached: true,
    });
    stage.child.stdin?.on('error', () => {});
    const { stdout } = stage.child;
    let hold: Hold | undefined;
    let failure: HelperFailure | undefined;
    let text = '';
    const held = new Promise<Hold>((resolve, reject) => {
      stdout?.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
        const lines = text.split('\n');
        text = lines.pop() ?? '';
        for (const event of lines.flatMap((line) => parseEvent(line) ?? [])) {
          if (hold !== undefined) hold.#take(event);
          else if (isFailure(event)) failure ??= event;
          else if (event.event === 'held') {
            hold = new Hold(stage, Number(event.pid));
            resolve(hold);
          }
        }
      });
      stdout?.on('error', () => {});
      stdout?.on('close', () => {
        if (hold !== undefined) hold.#isGone();
        reject(cannotHold(failure));
      });
    });
    void wakeUntil(held, () => wakeGroup(stage));
    const started = await held;
    started.#rest();
    return started;
  }

  get stage(): HostProcess {
    return this.#stage;
  }

  run({ namespaces, owner = 0, before = [], steps, group = '' }: RunRequest): Run {
    const first = before.flat();
    return this.#request(
      ...['run', namespaces, String(owner), String(first.length), group, ...first, ...steps.flat()],
    );
  }

  /** Unmounts what is mounted on a directory in the holder, and removes the directory. Its end has the status 0. */
  drop(path: string): Run {
    return this.#request('drop', path);
  }

  #request(what = '', ...fields: readonly string[]): Run {
    const id = this.#next;
    this.#next += 1;
    const run = new Run();
    this.#runs.set(id, run);
    this.#await(run);
    this.#ask(what, String(id), ...fields);
    if (this.#stage.child.stdout?.closed === true) this.#isGone();
    this.#wakeUntil(Promise.race([run.ready, run.standing, run.ended]), run);
    return run;
  }

  #wakeUntil(end: Promise<unknown>, run: Run): void {
    void wakeUntil(end, () => {
      this.wake();
      // It leads a process group too.
      run.started.then((pid) => signalProcess(-pid, 'SIGCONT')).catch(() => {});
    });
  }

  end(run: Run): void {
    this.#askOf(run, 'end');
  }

  /** Lets a run continue that is standing. */
  go(run: Run): void {
    this.#askOf(run, 'go');
    this.#wakeUntil(Promise.race([run.ready, run.ended]), run);
  }

  #askOf(run: Run, what: 'end' | 'go'): void {
    for (const [id, each] of this.#runs) {
      if (each !== run) continue;
      this.#await(run);
      this.#ask(what, String(id));
    }
  }

  /** Continues stage and holder, which may be stopped. */
  wake(): void {
    wakeGroup(this.#stage);
  }

  /** Closes the connection, which ends the holder. False when stage and holder have not ended after `limit` milliseconds. */
  async close(limit: number): Promise<boolean> {
    this.#stage.child.ref();
    this.#stage.child.stdin?.destroy();
    if (await within(this.#stage.exited, Math.min(PATIENCE, limit))) return true;
    this.wake();
    return within(this.#stage.exited, limit);
  }

  #ask(...fields: readonly string[]): void {
    const stdin: Writable | null = this.#stage.child.stdin;
    // The holder reads fields that end with a zero byte.
    stdin?.write(`${[fields.length, ...fields.map((field) => field.replaceAll('\0', ''))].join('\0')}\0`);
  }

  #take(event: HelperEvent): void {
    const run = this.#runs.get(Number(event.id));
    if (run === undefined) return;
    if (run.take(event)) this.#runs.delete(Number(event.id));
    else if (event.event !== 'ready' && event.event !== 'standing') return;
    this.#awaited.delete(run);
    if (this.#awaited.size === 0) this.#rest();
  }

  #isGone(): void {
    this.alive = false;
    for (const run of this.#runs.values()) run.finish(137);
    this.#runs.clear();
    this.#awaited.clear();
  }

  /** Keeps the event loop alive until the process is ready or has ended. */
  #await(run: Run): void {
    this.#awaited.add(run);
    this.#stage.child.ref();
    setReference(this.#stage.child.stdout, 'ref');
  }

  #rest(): void {
    this.#stage.child.unref();
    setReference(this.#stage.child.stdout, 'unref');
    setReference(this.#stage.child.stdin, 'unref');
  }
}

/** Wakes again and again, until it resolves or rejects. */
async function wakeUntil(end: Promise<unknown>, wake: () => void): Promise<void> {
  const settled = end.catch(() => {});
  while (!(await within(settled, PATIENCE))) wake();
}

/** The stage leads a process group, which the holder is in, and what writes the id maps. */
function wakeGroup(stage: HostProcess): void {
  signalProcess(-stage.pid, 'SIGCONT');
}

function setReference(stream: unknown, act: 'ref' | 'unref'): void {
  if (typeof stream !== 'object' || stream === null || !(act in stream)) return;
  const method: unknown = Reflect.get(stream, act);
  if (typeof method === 'function') Reflect.apply(method, stream, []);
}

function cannotHold(failure: HelperFailure | undefined): TestbedError {
  const why = failure === undefined ? 'its helper was killed' : failureText(failure);
  const code = failure?.code ?? 'NO_NAMESPACES';
  return new TestbedError(`no testbed can be made: ${why}`, {
    code,
    remedy: failure === undefined ? DOCTOR : remedyOf(failure),
  });
}

function stepFailed(failure: HelperFailure): TestbedError {
  return new TestbedError(`making a testbed failed: ${failureText(failure)}`, {
    code: failure.code,
    remedy: remedyOf(failure),
  });
}

/** What to do about a failure of stage, holder or set-up. */
export function remedyOf({ code, errno, what }: HelperFailure): string {
  if (code === 'NO_SHELL') return 'use a root filesystem with a /bin/sh that this machine can execute';
  if (code === 'NO_INIT') return 'name an init that this machine can execute, or use --init=none';
  // clone3(2) has this error for a limit of namespaces.
  if (errno === 'ENOSPC' && what.includes('namespace')) {
    return 'the limit of namespaces is reached: raise user.max_*_namespaces with sysctl, or close other testbeds';
  }
  // Of mounts, see fs.mount-max in proc_sys_fs(5).
  if (errno === 'ENOSPC' && /^(mounting|binding)/.test(what)) {
    return 'the limit of mounts is reached: raise fs.mount-max with sysctl, or close other testbeds';
  }
  if (errno === 'ENOSPC') {
    return 'free space where the testbeds are (--scratch), or give them more memory (--max-memory)';
  }
  return scarceRemedy(typeof errno === 'string' ? errno : undefined) ?? DOCTOR;
}

function endedEarly(status: number): TestbedError {
  return new TestbedError(`making a testbed failed: its set-up ended with status ${status}`, {
    code: 'SETUP_KILLED',
    remedy: 'check whether another process has killed it, for example because memory ran out',
  });
}
