/** A testbed for the time of one verb. */
import { UsageError } from '../errors.ts';
import { createLog, type Log } from '../log.ts';
import { parseOptions } from '../options.ts';
import { preflight } from '../preflight.ts';
import { Provider } from '../testbed/provider.ts';
import type { OpenTestbed } from '../testbed/types.ts';

/**
 * Opens what the server's options in `words` describe. `close` ends the testbed and all that was made for it.
 * @throws UsageError, TestbedError
 */
export async function openFor(
  words: readonly string[],
): Promise<{ testbed: OpenTestbed; log: Log; close: () => Promise<void> }> {
  const parsed = parseOptions(words, process.env);
  if (parsed.action !== 'serve') throw new UsageError(`--${parsed.action} stands alone; see --help`);
  const { testbed: options, debug } = parsed;
  await preflight(options, process.env);
  const log = createLog({ debug });
  const provider = new Provider(options, log);
  try {
    return { testbed: await provider.open(), log, close: () => provider.dispose() };
  } catch (error) {
    await provider.dispose().catch(() => {});
    throw error;
  }
}
