/** `run --detach`: starts the process that keeps the testbed, and waits until the command runs. */
import type { Words } from '../command-line/given.ts';
import { TestbedError } from '../errors.ts';
import { type Argv, firstLine, spawnHost } from '../host.ts';
import { createLog } from '../log.ts';
import { isRecord } from '../processes/claims.ts';
import { KEEPER, type Readiness } from './keep.ts';

export async function detach(words: Words, signal: AbortSignal): Promise<number> {
  const log = createLog({ debug: words.has('debug') });
  // The keeper is this program again, with the same words. Its stderr is this one until the command runs.
  const argv: Argv = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const keeper = await spawnHost(argv, log, {
    stdio: ['ignore', 'pipe', 2],
    env: { [KEEPER]: '1' },
    detached: true,
  });
  const stop = () => keeper.kill('SIGTERM');
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  const ready = parse(await firstLine(keeper.child.stdout));
  if (ready === undefined || signal.aborted) {
    const { status } = await keeper.exited;
    if (status !== 0 || signal.aborted) return status;
    throw new TestbedError('the process that keeps the testbed ended at once', { code: 'KEEPER_ENDED' });
  }
  signal.removeEventListener('abort', stop);
  keeper.child.stdout?.destroy();
  keeper.child.unref();
  process.stdout.write(`${ready.name}\n`);
  return 0;
}

function parse(line: string): Readiness | undefined {
  if (line === '') return undefined;
  const value: unknown = JSON.parse(line);
  return isRecord(value) && typeof value.name === 'string' ? { name: value.name } : undefined;
}
