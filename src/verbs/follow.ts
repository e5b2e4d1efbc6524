import { isatty } from 'node:tty';
import type { HostProcess } from '../host.ts';
import type { Interrupts } from './verb.ts';

/** What a shell is where no command is given. */
export const SHELL = ['sh', '-c', 'if [ -x /bin/bash ]; then exec bash; else exec sh; fi'] as const;

/**
 * On a terminal the first SIGINT is for the command. The terminal sends it to the execute program too, except when that relays a
 * terminal of the command's own; then it was sent by another process and is passed on.
 */
export function passInterrupt(interrupts: Interrupts, started: HostProcess): void {
  const terminals = [0, 1, 2].filter((descriptor) => isatty(descriptor));
  if (terminals.length === 0) return;
  const relayed = terminals.includes(0) && terminals.includes(1);
  interrupts.handler = () => {
    interrupts.handler = undefined;
    if (relayed) started.kill('SIGINT');
    return true;
  };
}
