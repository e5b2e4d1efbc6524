import { closeSync, openSync } from 'node:fs';
import { placeOf } from '../command-line/given.ts';
import { reasonOf, UsageError } from '../errors.ts';
import { createLog } from '../log.ts';
import { openFor } from './open.ts';
import { runIsolated } from './run-isolated.ts';
import type { RunVerb } from './verb.ts';

export const shell: RunVerb = async (words, signal, interrupts) => {
  if (words.command !== undefined) {
    throw new UsageError('shell takes no command', {
      code: 'UNEXPECTED_WORD',
      remedy: 'use virt-ts-unshare run -- COMMAND',
    });
  }
  const onHost = words.has('host');
  words.mustFit(onHost ? 'shell --host' : 'shell');
  const { env, cwd = '/root' } = placeOf(words);
  const tty = openTerminal();
  try {
    if (onHost) {
      const log = createLog({ debug: words.has('debug') });
      const options = {
        root: words.has('root'),
        interactive: true,
        requireIsolation: false,
        failOnLeak: false,
        env,
      };
      return await runIsolated([process.env.SHELL || '/bin/sh', '-i'], options, { log, signal, interrupts });
    }
    const { testbed, close } = await openFor(words, signal, 'shell');
    const end = () => void close();
    signal.addEventListener('abort', end, { once: true });
    interrupts.handler = () => true;
    try {
      const { TERM = 'dumb' } = process.env;
      return await testbed.shell(cwd, { TERM, ...env }, tty);
    } finally {
      signal.removeEventListener('abort', end);
      await close();
    }
  } finally {
    closeSync(tty);
  }
};

function openTerminal(): number {
  try {
    return openSync('/dev/tty', 'r+');
  } catch (cause) {
    throw new UsageError(`shell needs a terminal, but /dev/tty cannot be opened: ${reasonOf(cause)}`, {
      code: 'NO_TERMINAL',
      remedy: 'use virt-ts-unshare run for a command',
      cause,
    });
  }
}
