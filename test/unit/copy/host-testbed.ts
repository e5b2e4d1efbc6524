/** A "testbed" that is the host itself: the copying sees nothing else of one. Its PATH may hold another tar. */
import { type HostProcess, type StdioList, spawnHost } from '../../../src/host.ts';
import { silentLog } from '../../../src/log.ts';

export class HostTestbed {
  readonly #path: string | undefined;
  readonly started: HostProcess[] = [];

  constructor(path?: string) {
    this.#path = path;
  }

  async start(argv: readonly [string, ...string[]], stdio: StdioList): Promise<HostProcess> {
    const [program, ...rest] = argv;
    const env = this.#path === undefined ? {} : { PATH: this.#path };
    // The whole process group ends, as a testbed ends a command's whole tree.
    const started = await spawnHost([program === 'sh' ? '/bin/sh' : program, ...rest], silentLog, {
      stdio,
      env,
      cwd: '/',
      detached: true,
    });
    this.started.push(started);
    const kill = (signal: NodeJS.Signals): void => {
      try {
        process.kill(-started.pid, signal);
      } catch {
        // It is gone.
      }
    };
    return { ...started, kill };
  }
}
