/** `run`: one command in a testbed, or isolated on the machine's own root file system, and then what it left behind. */
import { UsageError } from '../errors.ts';
import type { Argv } from '../host.ts';
import { createLog } from '../log.ts';
import { runIsolated } from './run-isolated.ts';
import { runInTestbed } from './run-testbed.ts';
import type { RunVerb } from './verb.ts';
import { onlyDebug, sortWords, variables } from './words.ts';

const HELP = `Usage: virt-ts-unshare run [OPTION]... [-- COMMAND [ARGUMENT]...]

Runs COMMAND in a fresh testbed, and says afterwards what it left behind. Exits with its status. Without COMMAND a shell
reads what there is on stdin; for one on the terminal see virt-ts-unshare shell.

  --host                on this machine's own root filesystem, with a private /tmp, /dev/shm, mounts, processes and
                        IPC; uid, gid, environment and working directory are kept, and mounting is allowed
  --root                with --host: as root of a user namespace
  --require-isolation   with --host: fail where namespaces are not available, instead of going on without
  --fail-on-leak        exit with status 1 if COMMAND succeeds but leaves something behind
  --user NAME           in a testbed: as this user (default: root)
  --cwd DIR             in a testbed: in this directory (default: /)
  --env NAME=VALUE      one more variable; may be given again
  -d, --debug           say on stderr what is done
  --stay-root           do not become the user who called sudo
and, for a testbed, the options of virt-ts-unshare that choose and shape it: see virt-ts-unshare --help.

Exit status: that of COMMAND, 128 + n when signal n ended it, 255 when the testbed failed, 2 for a wrong call.

Examples:
  virt-ts-unshare run --host --fail-on-leak -- make check
  virt-ts-unshare run --release bookworm --network=none -- sh -c 'apt-get --version; id'
`;

const OWN = {
  host: 'flag',
  root: 'flag',
  'require-isolation': 'flag',
  'fail-on-leak': 'flag',
  user: 'value',
  cwd: 'value',
  env: 'value',
  help: 'flag',
} as const;

export const run: RunVerb = async (argv, signal, interrupts) => {
  const words = sortWords('run', argv, OWN);
  if (words.has('help') || words.rest.includes('-h')) {
    process.stdout.write(HELP);
    return 0;
  }
  const { command } = words;
  const env = variables(words.all('env'));
  const failOnLeak = words.has('fail-on-leak');
  if (!words.has('host')) {
    for (const name of ['root', 'require-isolation'] as const) {
      if (words.has(name)) throw new UsageError(`--${name} goes with --host only; leave it out`);
    }
    const place = { cwd: words.one('cwd'), user: words.one('user'), env };
    return runInTestbed(command, { testbed: words.rest, ...place, failOnLeak }, signal);
  }
  for (const name of ['user', 'cwd'] as const) {
    if (words.has(name)) throw new UsageError(`--${name} goes with a testbed, not with --host; leave it out`);
  }
  const log = createLog({ debug: onlyDebug('run', '--host', words.rest) });
  const options = {
    root: words.has('root'),
    interactive: false,
    requireIsolation: words.has('require-isolation'),
    failOnLeak,
    env,
  };
  const shell: Argv = [process.env.SHELL ?? '/bin/sh'];
  return runIsolated(command ?? shell, options, { log, signal, interrupts });
};
