/** Temporary names for files and directories that arrive on the host; a process removes them if the server is killed. */
import { helperWords } from '../helper.ts';
import { type HostProcess, spawnHost } from '../host.ts';
import type { Log } from '../log.ts';
import { randomBytes } from '../random.ts';

export function stagingName(): string {
  return `.virt-ts-unshare-copy-${randomBytes(6).toString('hex')}`;
}

/** Starts helper/unstage.c. It never fails: the copy works without it. */
export class Guard {
  readonly #process: Promise<HostProcess | undefined>;

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

  async end(): Promise<void> {
    const guard = await this.#process;
    guard?.kill('SIGKILL');
    await guard?.exited;
  }
}
