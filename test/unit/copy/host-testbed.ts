/** A "testbed" that is the host itself: the copying sees nothing else of one. Its PATH may hold another tar. */
import assert from 'node:assert/strict';
import { type HostProcess, type StdioList, spawnHost } from '../../../src/host.ts';
import { silentLog } from '../../../src/log.ts';
import { compiledProgram, scriptPath } from '../../../src/scripts.ts';
import { killable } from '../../../src/testbed/killing.ts';

type Argv = readonly [string, ...string[]];

/**
 * What copies the content of a file: on-host/move-file.c, the same for a root file system in memory, or the script that serves
 * where that was not compiled.
 */
export const movers = ['move-file.c', 'move-file.c -m', 'move-file.sh'] as const;
export type Mover = (typeof movers)[number];

function wordsOf(mover: Mover): Argv {
  if (mover === 'move-file.sh') return ['sh', scriptPath('on-host', mover)];
  const program = compiledProgram('move-file') ?? assert.fail('it is not compiled; run: npm run build');
  return mover === 'move-file.c' ? [program] : [program, '-m'];
}

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

  constructor({ path, shell = '/bin/sh', mover = 'move-file.c' }: HostTestbedOptions = {}) {
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

  async startMover(way: readonly string[], stdio: StdioList): Promise<HostProcess> {
    const started = await spawnHost([...wordsOf(this.#mover), ...way], silentLog, { stdio, detached: true });
    this.started.push(started);
    return killable(started, () => undefined, silentLog);
  }

  pidInside({ pid }: HostProcess): number {
    return pid;
  }
}
