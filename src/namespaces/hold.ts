/** Requests to stage and holder (protocol: helper/hold.c), and events from them. */
import type { Writable } from 'node:stream';
import { type HelperEvent, type HelperFailure, isFailure, parseEvent } from '../helper.ts';
import { type Argv, type HostProcess, spawnHost } from '../host.ts';
import type { Log } from '../log.ts';
import { systemPath } from '../processes/find.ts';
import { signalProcess, treeOf } from '../processes/list.ts';
import { within } from '../wait.ts';
import { cannotHold } from './failures.ts';
import { Run } from './run.ts';
import type { Step } from './steps.ts';

/** Milliseconds after which a process that does not answer gets SIGCONT. */
const PATIENCE = 1_000;

export interface RunRequest {
  /** Letters of new namespaces, as in helper/helper.h. With `u` the user namespace is below the holder's, with the same ids. */
  readonly namespaces: string;
  /** User of the holder to which a new user namespace belongs. Default: root. */
  readonly owner?: number;
  /** With `u`: these run before, in the holder's namespaces. */
  readonly before?: readonly Step[];
  readonly steps: readonly Step[];
  /** With `u`: name of its cgroup, which is made and removed with it. Default: that of the holder. */
  readonly group?: string;
}

/** Stage and holder, as the server sees them. */
export class Hold {
  readonly pid: number;
  /** False once stage or holder has ended. */
  alive = true;
  readonly #stage: HostProcess;
  readonly #runs = new Map<number, Run>();
  readonly #awaited = new Set<Run>();
  /** Processes that SIGKILL has not ended. */
  readonly #left: number[] = [];
  readonly #gone: Promise<void>;
  #tellGone: () => void = () => {};
  #next = 1;

  private constructor(stage: HostProcess, pid: number) {
    this.#stage = stage;
    this.pid = pid;
    this.#gone = new Promise((resolve) => {
      this.#tellGone = resolve;
    });
  }

  /** @param signal kills it while it is being made: a program that writes an id map may hang */
  static async start(words: Argv, log: Log, signal?: AbortSignal): Promise<Hold> {
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
    const kill = () => signalProcess(-stage.pid, 'SIGKILL');
    signal?.addEventListener('abort', kill);
    if (signal?.aborted === true) kill();
    try {
      const started = await held;
      started.#rest();
      return started;
    } finally {
      signal?.removeEventListener('abort', kill);
    }
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

  /** Unmounts what is mounted on a directory in the holder, and removes the directory. Ends with the status 0, or 1 when that fails. */
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
      // A run leads a process group of its own.
      run.started.then((pid) => signalProcess(-pid, 'SIGCONT')).catch(() => {});
    });
  }

  end(run: Run): void {
    this.#askOf(run, 'end');
  }

  /** Continues a run that waits in its last step. */
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

  /**
   * Closes the connection, which ends the holder and all processes of its user namespace. Gives the processes that are left: those that
   * survive SIGKILL, or after `limit` milliseconds stage and holder themselves.
   */
  async close(limit: number): Promise<readonly number[]> {
    const { child, exited, pid } = this.#stage;
    child.ref();
    child.stdin?.destroy();
    if (!(await within(exited, Math.min(PATIENCE, limit)))) this.wake();
    if (!(await within(exited, limit))) return treeOf(pid);
    // What it has reported last may not be read yet.
    if ((await exited).status !== 0) await within(this.#gone, PATIENCE);
    return this.#left;
  }

  #ask(...fields: readonly string[]): void {
    const stdin: Writable | null = this.#stage.child.stdin;
    // The holder reads fields that end with a zero byte.
    stdin?.write(`${[fields.length, ...fields.map((field) => field.replaceAll('\0', ''))].join('\0')}\0`);
  }

  #take(event: HelperEvent): void {
    if (event.event === 'left') this.#left.push(Number(event.pid));
    const run = this.#runs.get(Number(event.id));
    if (run === undefined) return;
    if (run.take(event)) this.#runs.delete(Number(event.id));
    else if (event.event !== 'ready' && event.event !== 'standing') return;
    this.release(run);
  }

  /** This process may end though the run has not. */
  release(run: Run): void {
    this.#awaited.delete(run);
    if (this.#awaited.size === 0) this.#rest();
  }

  #isGone(): void {
    this.alive = false;
    for (const run of this.#runs.values()) run.finish(137);
    this.#runs.clear();
    this.#awaited.clear();
    this.#tellGone();
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

/** The stage leads a process group, in which the holder is, and the programs that write its id maps. */
function wakeGroup(stage: HostProcess): void {
  signalProcess(-stage.pid, 'SIGCONT');
}

function setReference(stream: unknown, act: 'ref' | 'unref'): void {
  if (typeof stream !== 'object' || stream === null || !(act in stream)) return;
  const method: unknown = Reflect.get(stream, act);
  if (typeof method === 'function') Reflect.apply(method, stream, []);
}
