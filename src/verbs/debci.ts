/** `debci`: the backend for debci's workers. */
import { lchownSync, realpathSync, type Stats, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Words } from '../command-line/given.ts';
import { UsageError } from '../errors.ts';
import { makeFolders } from '../folders.ts';
import { type Argv, runHost } from '../host.ts';
import { createLog, type Log } from '../log.ts';
import { findDebci, installBackend, PREFIX, removeBackend, serverOf } from './debci-backend.ts';
import { chooseCommand } from './sub-command.ts';
import type { RunVerb } from './verb.ts';

interface DebciCall {
  readonly words: Words;
  readonly log: Log;
}

const COMMANDS = { install, remove } as const satisfies Record<string, (call: DebciCall) => Promise<number>>;

export const debci: RunVerb = async (words) => {
  const [given, extra] = words.operands;
  const command = chooseCommand('debci', given, COMMANDS);
  words.mustFit(`debci ${command}`);
  if (extra !== undefined) {
    throw new UsageError(`unexpected word ${extra} behind debci ${command}`, {
      code: 'UNEXPECTED_WORD',
      remedy: 'see debci --help',
    });
  }
  return COMMANDS[command]({ words, log: createLog({ debug: words.has('debug') }) });
};

async function install({ words, log }: DebciCall): Promise<number> {
  const folder = findDebci(words.one('prefix') ?? PREFIX);
  const backend = installBackend(folder);
  process.stdout.write(`${backend}\n`);
  for (const lack of await lacksOf(folder, serverOf(backend), log)) log.warn(lack);
  return 0;
}

async function remove({ words, log }: DebciCall): Promise<number> {
  const folder = findDebci(words.one('prefix') ?? PREFIX);
  const backend = removeBackend(folder);
  if (backend === undefined) log.warn(`debci in ${folder} has no backend ts_unshare`);
  else process.stdout.write(`${backend}\n`);
  return 0;
}

/** What the account of the workers, which owns debci's data, lacks for testbeds. */
async function lacksOf(folder: string, server: string, log: Log): Promise<string[]> {
  const data = join(folder, 'data');
  const owner = statSync(data, { throwIfNoEntry: false });
  const own = process.geteuid?.() ?? 0;
  if (owner === undefined || (own !== 0 && own !== owner.uid)) return [];
  const images = imageFolder(data, owner);
  const account = (await runHost(['stat', '--dereference', '--format=%U', data], log)).stdout.trim();
  const doctor: Argv = [server, 'doctor', '--json'];
  const argv: Argv = own === owner.uid ? doctor : ['runuser', '-u', account, '--', ...doctor];
  const env = { XDG_CACHE_HOME: join(images, 'cache') };
  const checks = parseChecks((await runHost(argv, log, { env })).stdout);
  if (checks === undefined) {
    return [
      `the account ${account}, as which the workers run, cannot run ${server}; install virt-ts-unshare where all users may read it`,
    ];
  }
  return checks
    .filter(({ name, state }) => state === 'fails' || (name === 'user ids of a testbed' && state !== 'works'))
    .map(({ name, detail, remedy }) => {
      const todo = remedy === '' ? '' : `; ${remedy}`;
      return `the account ${account}, as which the workers run: ${name}: ${detail.trim()}${todo}`;
    });
}

/** Where the backend keeps root filesystems; the account itself cannot make it where only its data are its own. */
function imageFolder(data: string, { uid, gid }: Pick<Stats, 'uid' | 'gid'>): string {
  const folder = join(dirname(realpathSync(data)), 'ts_unshare');
  makeFolders(folder);
  // That account may have put a link there: root must not give it what the link leads to.
  lchownSync(folder, uid, gid);
  return folder;
}

interface Checked {
  readonly name: string;
  readonly state: string;
  readonly detail: string;
  readonly remedy: string;
}

/** The checks that `doctor --json` prints; undefined for any other output. */
function parseChecks(text: string): Checked[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const checks: unknown =
      typeof value === 'object' && value !== null ? Reflect.get(value, 'checks') : undefined;
    if (!Array.isArray(checks)) return undefined;
    return checks.map((check: object) => {
      const text = (key: string) => String(Reflect.get(check, key) ?? '');
      return { name: text('name'), state: text('state'), detail: text('detail'), remedy: text('remedy') };
    });
  } catch {
    return undefined;
  }
}
