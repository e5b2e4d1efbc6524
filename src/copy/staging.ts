/** What arrives on the host has a name of its own until it is whole; a process removes it if the server is killed. */
import { helperWords } from '../helper.ts';
import { type HostProcess, spawnHost } from '../host.ts';
import type { Log } from '../log.ts';
import { randomBytes } from '../random.ts';

/** A name that nothing else has, for a file or a directory. */
export function stagingName(): string {
  return `.virt-ts-unshare-copy-${randomBytes(6).toString('hex')}`;
}

/** Starts helper/unstage.c, before there is something to remove. It never fails: the copy works without it. */
export class Guard {
  readonly #process: Promise<HostProcess | undefined>;

  /** @param directory the one that has the name */
  constructor(directory: number, name: string, log: Log) {
    const started = spawnHost(helperWords('unstage', name), log, {
      stdio: ['pipe', 'ignore', 'ignore', directory],
      detached: true,
    });
    this.#process = started.then(
      (guard) => {
        guard.child.stdin?.on('error', () => {});
        return guard;
      },
      () => undefined,
    );
  }

  /** Ends the process before it does anything. */
  async end(): Promise<void> {
    const guard = await this.#process;
    guard?.kill('SIGKILL');
    await guard?.exited;
  }
}
