/** What arrives on the host has a name of ours until it is whole; a process waits to remove it should we be killed. */
import { type HostProcess, spawnHost } from '../host.ts';
import type { Log } from '../log.ts';
import { randomBytes } from '../random.ts';
import { scriptPath } from '../scripts.ts';

/** A name that nothing else has, for a file or a directory. */
export function stagingName(): string {
  return `.virt-ts-unshare-copy-${randomBytes(6).toString('hex')}`;
}

/** To be started before there is anything to remove. Without it a copy is as good, so that it never fails. */
export class Guard {
  readonly #process: Promise<HostProcess | undefined>;

  /** @param directory the one that the name is in */
  constructor(directory: number, name: string, log: Log) {
    const started = spawnHost(['/bin/sh', scriptPath('on-host', 'unstage.sh'), name], log, {
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

  /** Resolves when it has gone without doing anything. */
  async end(): Promise<void> {
    const guard = await this.#process;
    guard?.kill('SIGKILL');
    await guard?.exited;
  }
}
