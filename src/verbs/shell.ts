/** `shell`: an interactive shell in a throw-away testbed, or isolated on the machine's own root file system. */
import { closeSync, openSync } from 'node:fs';
import { reasonOf, UsageError } from '../errors.ts';
import { createLog } from '../log.ts';
import { openFor } from './open.ts';
import { runIsolated } from './run-isolated.ts';
import type { RunVerb } from './verb.ts';
import { onlyDebug, sortWords, variables } from './words.ts';

const HELP = `Usage: virt-ts-unshare shell [OPTION]...

Opens an interactive shell in a fresh testbed, which is gone when the shell ends. Exits with the shell's status.

  --host             on this machine's own root filesystem, with a private /tmp, /dev/shm, mounts, processes and IPC
  --root             with --host: as root of a user namespace
  --cwd DIR          in a testbed: start in this directory (default: /root)
  --env NAME=VALUE   one more variable; may be given again
  -d, --debug        say on stderr what is done
  --stay-root        do not become the user who called sudo
and, for a testbed, the options of virt-ts-unshare that choose and shape it: see virt-ts-unshare --help.

Examples:
  virt-ts-unshare shell --release trixie --bind "$PWD" /src --cwd /src
  virt-ts-unshare shell --host
`;

const OWN = { host: 'flag', root: 'flag', cwd: 'value', env: 'value', help: 'flag' } as const;

export const shell: RunVerb = async (argv, signal, interrupts) => {
  const words = sortWords('shell', argv, OWN);
  if (words.has('help') || words.rest.includes('-h')) {
    process.stdout.write(HELP);
    return 0;
  }
  if (words.command !== undefined)
    throw new UsageError('shell takes no command; use virt-ts-unshare run -- COMMAND');
  const env = variables(words.all('env'));
  const tty = openTerminal();
  try {
    if (words.has('host')) {
      if (words.has('cwd')) throw new UsageError('--cwd goes with a testbed, not with --host; leave it out');
      const log = createLog({ debug: onlyDebug('shell', '--host', words.rest) });
      const options = {
        root: words.has('root'),
        interactive: true,
        requireIsolation: false,
        failOnLeak: false,
        env,
      };
      return await runIsolated([process.env.SHELL ?? '/bin/sh', '-i'], options, { log, signal, interrupts });
    }
    if (words.has('root')) throw new UsageError('--root goes with --host only; leave it out');
    const { testbed, close } = await openFor(words.rest, signal);
    const end = () => void close();
    signal.addEventListener('abort', end, { once: true });
    // The terminal's SIGINT is for the shell and what runs in it.
    interrupts.handler = () => true;
    try {
      const { TERM = 'dumb' } = process.env;
      return await testbed.shell(words.one('cwd') ?? '/root', { TERM, ...env }, tty);
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
    throw new UsageError(`shell needs a terminal (/dev/tty: ${reasonOf(cause)}); use run for a command`, {
      cause,
    });
  }
}
