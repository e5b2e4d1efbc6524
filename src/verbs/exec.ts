/** `exec`: a command, or a shell, in a testbed that is open. */
import { isatty } from 'node:tty';
import { UsageError } from '../errors.ts';
import { type Argv, spawnHost } from '../host.ts';
import { createLog } from '../log.ts';
import { readMark } from '../namespaces/mark.ts';
import { type Registered, registered } from '../registry.ts';
import { scriptPath } from '../scripts.ts';
import { executeCommand } from '../testbed/execute.ts';
import { openPipes } from './open-pipes.ts';
import type { RunVerb } from './verb.ts';
import { sortWords, variables } from './words.ts';

const HELP = `Usage: virt-ts-unshare exec NAME|PID [OPTION]... [-- COMMAND [ARGUMENT]...]

Runs COMMAND (default: a shell) in a testbed of this user that is open, also one that a driver has opened. NAME is its
host name, PID its pid 1 or the process that has it open; see virt-ts-unshare ps. Exits with the command's status.

  --user NAME        as this user (default: root)
  --cwd DIR          in this directory (default: /)
  --env NAME=VALUE   one more variable; may be given again
  --stay-root        do not become the user who called sudo

Examples:
  virt-ts-unshare exec testbed-1a2b3c
  virt-ts-unshare exec 4711 --user nobody -- id
`;

const OWN = { user: 'value', cwd: 'value', env: 'value', help: 'flag' } as const;
/** Seconds that a stuck reader of the output is waited for, as the server's default. */
const DRAIN_TIMEOUT = 10;

export const exec: RunVerb = async (argv, signal, interrupts) => {
  const words = sortWords(argv, OWN);
  if (words.has('help') || words.rest.includes('-h')) {
    process.stdout.write(HELP);
    return 0;
  }
  const [name, unknown] = words.rest;
  if (name === undefined)
    throw new UsageError('exec needs the name or pid of a testbed; see virt-ts-unshare ps');
  if (unknown !== undefined) throw new UsageError(`unexpected word ${unknown}; put -- before the command`);
  const testbed = choose(name, registered(process.env));
  const [cwd, user] = [words.one('cwd'), words.one('user')];
  const interactive = isatty(0);
  const execute = executeCommand(
    { ...testbed, mark: readMark(testbed), drainTimeout: DRAIN_TIMEOUT },
    {
      env: variables(words.all('env')),
      keepTerm: interactive,
      ...(cwd === undefined ? {} : { cwd }),
      ...(user === undefined ? {} : { user }),
    },
  );
  const shell: Argv = ['sh', '-c', 'if [ -x /bin/bash ]; then exec bash; else exec sh; fi'];
  const foreground = interactive ? ['/bin/sh', scriptPath('on-host', 'foreground.sh')] : [];
  const [first = '/bin/sh', ...rest] = [...foreground, ...execute, ...(words.command ?? shell)];
  openPipes();
  const started = await spawnHost([first, ...rest], createLog(), { stdio: [0, 1, 2] });
  // A terminal sends it to the command too, which is the one to answer.
  interrupts.handler = () => isatty(0);
  signal.addEventListener('abort', () => started.kill('SIGTERM'), { once: true });
  return (await started.exited).status;
};

/** @throws UsageError when it is none, or more than one */
export function choose(name: string, testbeds: readonly Registered[]): Registered {
  const found = testbeds.filter(
    (each) => each.name === name || String(each.pid) === name || String(each.owner) === name,
  );
  const [one, another] = found;
  if (one === undefined) {
    throw new UsageError(
      `no testbed of this user is called ${name}; virt-ts-unshare ps lists those that are open`,
    );
  }
  if (another !== undefined) {
    const pids = found.map(({ pid }) => pid).join(', ');
    throw new UsageError(`${found.length} testbeds are called ${name}; name one by its pid: ${pids}`);
  }
  return one;
}
