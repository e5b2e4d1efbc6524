/** `exec`: a command, or a shell, in a testbed that is open. */
import { UsageError } from '../errors.ts';
import { createLog } from '../log.ts';
import { type Registered, registered } from '../registry.ts';
import { enterTestbed } from './enter.ts';
import type { RunVerb } from './verb.ts';
import { onlyDebug, sortWords, variables } from './words.ts';

const HELP = `Usage: virt-ts-unshare exec NAME|PID [OPTION]... [-- COMMAND [ARGUMENT]...]

Runs COMMAND (default: a shell) in a testbed of this user that is open, also one that a driver has opened. NAME is its
host name, PID its pid 1 or the process that has it open; see virt-ts-unshare ps. Exits with the command's status.

  --user NAME        as this user (default: root)
  --cwd DIR          in this directory (default: /)
  --env NAME=VALUE   one more variable; may be given again
  -d, --debug        say on stderr what is done
  --stay-root        do not become the user who called sudo

Examples, while virt-ts-unshare shell --hostname mine is open on another terminal:
  virt-ts-unshare exec mine
  virt-ts-unshare exec mine --cwd /etc -- cat hostname
`;

const OWN = { user: 'value', cwd: 'value', env: 'value', help: 'flag' } as const;

export const exec: RunVerb = async (argv, signal, interrupts) => {
  const words = sortWords('exec', argv, OWN);
  if (words.has('help') || words.rest.includes('-h')) {
    process.stdout.write(HELP);
    return 0;
  }
  const [name, ...more] = words.rest.filter((word) => !word.startsWith('-'));
  const options = words.rest.filter((word) => word.startsWith('-'));
  const debug = onlyDebug('exec', 'exec', [...options, ...more]);
  if (name === undefined)
    throw new UsageError(
      'exec needs the name or pid of a testbed; virt-ts-unshare ps lists those that are open',
    );
  const testbed = choose(name, registered(process.env));
  const [cwd, user] = [words.one('cwd'), words.one('user')];
  const place = {
    env: variables(words.all('env')),
    ...(cwd === undefined ? {} : { cwd }),
    ...(user === undefined ? {} : { user }),
  };
  return enterTestbed(testbed, place, words.command, { log: createLog({ debug }), signal, interrupts });
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
