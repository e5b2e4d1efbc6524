/** A "testbed" that is the host itself: the copying sees nothing else of one. Its PATH may hold another tar. */
import type { MoverWay } from '../../../src/copy/types.ts';
import { helperWords } from '../../../src/helper.ts';
import { type HostProcess, type StdioList, spawnHost } from '../../../src/host.ts';
import { silentLog } from '../../../src/log.ts';
import { killable } from '../../../src/testbed/killing.ts';

type Argv = readonly [string, ...string[]];

/** Arguments of helper/copy.c: those for a root filesystem on a disk, and those for one in memory. */
export const movers = ['copy', 'copy -m'] as const;
export type Mover = (typeof movers)[number];

export interface HostTestbedOptions {
  readonly path?: string | undefined;
  readonly shell?: string | undefined;
  readonly mover?: Mover | undefined;
}

export class HostTestbed {
  /** Any process of the same pid namespace will do. */
  pid = process.pid;
  readonly #path: string | undefined;
  readonly #shell: string;
  readonly #mover: Mover;
  /** Everything that was started, inside and beside. */
  readonly started: HostProcess[] = [];
  /** What was given to the processes inside. */
  readonly given: StdioList[] = [];

  constructor({ path, shell = '/bin/sh', mover = 'copy' }: HostTestbedOptions = {}) {
    this.#path = path;
    this.#shell = shell;
    this.#mover = mover;
  }

  async start([program, ...rest]: Argv, stdio: StdioList): Promise<HostProcess> {
    const env = this.#path === undefined ? {} : { PATH: this.#path };
    this.given.push(stdio);
    const words: Argv = [program === 'sh' ? this.#shell : program, ...rest];
    const started = await spawnHost(words, silentLog, { stdio, env, cwd: '/', detached: true });
    this.started.push(started);
    const kill = (signal: NodeJS.Signals): void => {
      try {
        // The whole process group ends, as a testbed ends a command's whole tree.
        process.kill(-started.pid, signal);
      } catch {
        // It is gone.
      }
    };
    return { ...started, kill };
  }

  async startMover(way: MoverWay, stdio: StdioList): Promise<HostProcess> {
    const words = helperWords('copy', ...(this.#mover === 'copy -m' ? ['-m'] : []), ...way);
    const started = await spawnHost(words, silentLog, { stdio, detached: true });
    this.started.push(started);
    return killable(started, () => undefined, silentLog);
  }

  pidInside({ pid }: HostProcess): number {
    return pid;
  }
}
