/** A testbed for the time of one verb. */
import { UsageError } from '../errors.ts';
import { createLog, type Log } from '../log.ts';
import { parseOptions } from '../options.ts';
import { preflight } from '../preflight.ts';
import { once, unlessStopped } from '../protocol/stop.ts';
import { Provider } from '../testbed/provider.ts';
import type { OpenTestbed, TestbedOptions } from '../testbed/types.ts';

/**
 * Opens what the server's options in `words` describe. `close` ends the testbed and all that was made for it.
 * @param signal gives up the opening, the building of a root filesystem too; its reason is thrown then
 * @param changes to what the words say
 * @throws UsageError, TestbedError
 */
export async function openFor(
  words: readonly string[],
  signal: AbortSignal,
  changes: Partial<TestbedOptions> = {},
): Promise<{ testbed: OpenTestbed; log: Log; close: () => Promise<void> }> {
  const parsed = parseOptions(words, process.env);
  if (parsed.action !== 'serve') throw new UsageError(`--${parsed.action} stands alone; see --help`);
  const options = { ...parsed.testbed, ...changes };
  await preflight(options, process.env);
  const log = createLog({ debug: parsed.debug });
  signal.throwIfAborted();
  const provider = new Provider(options, log);
  const close = once(() => provider.dispose());
  try {
    return { testbed: await unlessStopped(provider.open(), signal, close), log, close };
  } catch (error) {
    await close().catch(() => {});
    throw error;
  }
}
