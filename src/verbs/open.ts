import type { Words } from '../command-line/given.ts';
import { testbedFromWords } from '../command-line/testbed-options.ts';
import { startEvents } from '../events/program.ts';
import { createLog, type Log } from '../log.ts';
import { preflight } from '../preflight.ts';
import { claimName } from '../processes/names.ts';
import { once, unlessStopped } from '../protocol/stop.ts';
import { Provider } from '../testbed/provider.ts';
import type { OpenTestbed, TestbedOptions } from '../testbed/types.ts';

/**
 * An abort also stops the building of a root filesystem. @param program for the events @param changes to the words @throws UsageError,
 * TestbedError
 */
export async function openFor(
  words: Words,
  signal: AbortSignal,
  program: string,
  changes: Partial<TestbedOptions> = {},
): Promise<{ testbed: OpenTestbed; log: Log; close: () => Promise<void> }> {
  const options = { ...testbedFromWords(words, process.env), ...changes };
  await preflight(options, process.env);
  const log = createLog({ debug: words.has('debug') });
  signal.throwIfAborted();
  const freeName = options.name === undefined ? () => {} : claimName(options.name, process.env);
  const { eventFile } = options;
  const events = eventFile === undefined ? undefined : startEvents(eventFile, program, log);
  const provider = new Provider({ ...options, onEvent: events?.onEvent, closable: true }, log);
  const close = once(() =>
    provider.dispose().finally(() => {
      freeName();
      events?.end();
    }),
  );
  try {
    return { testbed: await unlessStopped(provider.open(), signal, close), log, close };
  } catch (error) {
    await close().catch(() => {});
    throw error;
  }
}
