/** The table of the protocol's commands. protocol.md has one section for each row, and a test compares them. */

import { CommandTimeoutError, CopyError, CopyTimeoutError, MisuseError, messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { didYouMean } from '../nearest.ts';
import type { OpenTestbed, TestbedProvider } from '../testbed/types.ts';
import { decodeText, decodeWord, encodeList, encodeWord, quoted, type Request } from './line.ts';
import { serveCommand } from './serve-command.ts';
import { serveShell } from './serve-shell.ts';

export interface Session {
  readonly provider: TestbedProvider;
  readonly log: Log;
  readonly ownNetwork: boolean;
  testbed?: OpenTestbed;
  noUserReported?: boolean;
  /** Aborted to end the running `command`: by the server's end, or by Ctrl-C in the interactive session. */
  interrupt?: AbortSignal;
}

type Answer = readonly string[];

interface Description {
  readonly usage: string;
  readonly summary: string;
  readonly words: readonly [min: number, max: number];
}
type Row = Description &
  (
    | {
        readonly state: 'any' | 'closed';
        readonly handle: (session: Session, words: readonly string[]) => Promise<Answer>;
      }
    | {
        readonly state: 'open';
        readonly handle: (
          testbed: OpenTestbed,
          words: readonly string[],
          session: Session,
        ) => Promise<Answer>;
      }
  );

export const COMMANDS: Readonly<Record<string, Row>> = {
  capabilities: {
    usage: '',
    summary: 'list what this server can do',
    words: [0, 0],
    state: 'any',
    handle: capabilities,
  },
  open: {
    usage: '',
    summary: 'make the testbed; answers its scratch directory',
    words: [0, 0],
    state: 'closed',
    handle: async (session) => {
      session.testbed = await session.provider.open();
      return [encodeWord(session.testbed.scratchDirectory)];
    },
  },
  revert: {
    usage: '',
    summary: 'undo everything since open or the last snapshot; answers the scratch directory',
    words: [0, 0],
    state: 'open',
    handle: async (testbed) => {
      await testbed.revert();
      return [encodeWord(testbed.scratchDirectory)];
    },
  },
  snapshot: {
    usage: '',
    summary:
      'end all processes and keep the files, so that revert returns to them; answers the scratch directory',
    words: [0, 0],
    state: 'open',
    handle: async (testbed) => {
      // The testbed itself keeps what it reverts to.
      await (await testbed.snapshot()).dispose();
      return [encodeWord(testbed.scratchDirectory)];
    },
  },
  reboot: {
    usage: '[prepare-only]',
    summary:
      'end every process and start again over the same files; prepare-only: wait for the test to do it',
    words: [0, 1],
    state: 'open',
    handle: async (testbed, [word]) => {
      if (word !== undefined && decodeText(word) !== 'prepare-only') {
        throw new MisuseError(`reboot does not take the word ${quoted(word)}`, {
          remedy: 'write reboot or reboot prepare-only',
        });
      }
      await testbed.reboot({ prepared: word !== undefined });
      return [];
    },
  },
  close: {
    usage: '',
    summary: 'remove the testbed',
    words: [0, 0],
    state: 'open',
    handle: async (_testbed, _words, session) => {
      await closeTestbed(session);
      return [];
    },
  },
  'print-execute-command': {
    usage: '',
    summary: 'answer the words that, put before a command, run it in the testbed',
    words: [0, 0],
    state: 'open',
    handle: async (testbed) => [encodeList(testbed.executeCommand)],
  },
  command: {
    usage:
      'PROGRAM,ARG,... [stdin=PATH] [stdout=PATH] [stderr=PATH] [cwd=DIR] [user=NAME] [env=K=V]... [timeout=SECONDS]',
    summary: 'run a command in the testbed; answers its status',
    words: [1, Number.POSITIVE_INFINITY],
    state: 'open',
    handle: async (testbed, words, session) => [
      String(await serveCommand(testbed, words, { log: session.log, signal: session.interrupt })),
    ],
  },
  copydown: {
    usage: 'HOST-PATH TESTBED-PATH',
    summary: 'copy a file, or with trailing slashes a directory, into the testbed',
    words: [2, 2],
    state: 'open',
    handle: async (testbed, words) => {
      const [source, destination] = copyPaths('copydown', words);
      await testbed.copyIn(source, destination);
      return [];
    },
  },
  copyup: {
    usage: 'TESTBED-PATH HOST-PATH',
    summary: 'copy a file, or with trailing slashes a directory, out of the testbed',
    words: [2, 2],
    state: 'open',
    handle: async (testbed, words) => {
      const [source, destination] = copyPaths('copyup', words);
      await testbed.copyOut(source, destination);
      return [];
    },
  },
  shell: {
    usage: '[DIR] [K=V]...',
    summary: 'open an interactive shell on the terminal, in DIR (default: /)',
    words: [0, Number.POSITIVE_INFINITY],
    state: 'open',
    handle: async (testbed, words, session) => {
      await serveShell(testbed, words.map(decodeText), session.log);
      return [];
    },
  },
  'auxverb-debug-fail': {
    usage: '',
    summary: 'report on stderr the state of the testbed, for a command that could not be run',
    words: [0, 0],
    state: 'any',
    handle: async ({ testbed, log }) => {
      log.warn(testbed === undefined ? 'no testbed is open' : stateOf(testbed));
      return [];
    },
  },
  quit: {
    usage: '',
    summary: 'close the testbed, if one is open, and end',
    words: [0, 0],
    state: 'any',
    handle: async (session) => {
      await closeTestbed(session);
      return [];
    },
  },
};

/** Verbs of this program that a person may write here. */
const RUNS: ReadonlySet<string> = new Set(['run', 'exec']);

/** Gives the reply, without newline. @throws MisuseError for a request that cannot be served, and errors of the testbed */
export async function perform(session: Session, request: Request): Promise<string> {
  const row = Object.hasOwn(COMMANDS, request.verb) ? COMMANDS[request.verb] : undefined;
  if (row === undefined) {
    const known = Object.keys(COMMANDS);
    const meant = RUNS.has(request.verb) ? ' (did you mean command)' : didYouMean(request.verb, known);
    throw new MisuseError(`unknown command ${quoted(request.verb)}${meant}`, {
      code: 'UNKNOWN_COMMAND',
      remedy: `the commands are ${known.join(', ')}`,
    });
  }
  const { verb, words } = request;
  const [min, max] = row.words;
  if (words.length < min || words.length > max) {
    const problem = words.length < min ? 'too few' : 'too many';
    throw new MisuseError(`${problem} words for ${verb}`, {
      remedy: `write ${`${verb} ${row.usage}`.trim()}`,
    });
  }
  try {
    return ['ok', ...(await handle(row, session, verb, words))].join(' ');
  } catch (error) {
    session.interrupt?.throwIfAborted();
    const reply = replyFor(error);
    if (reply === undefined) throw error;
    session.log.warn(`${verb}: ${messageOf(error)}`);
    return reply;
  }
}

function handle(row: Row, session: Session, verb: string, words: readonly string[]): Promise<Answer> {
  const { testbed } = session;
  if (row.state === 'open') {
    if (testbed === undefined)
      throw new MisuseError(`${verb} when not open`, { code: 'NOT_OPEN', remedy: 'send open first' });
    return row.handle(testbed, words, session);
  }
  if (row.state === 'closed' && testbed !== undefined) {
    throw new MisuseError(`${verb} when already open`, { code: 'OPEN', remedy: 'send close first' });
  }
  return row.handle(session, words);
}

/** A driver asks for it also after a testbed has ended. */
function stateOf(testbed: OpenTestbed): string {
  try {
    return `a testbed is open; its execute command is ${testbed.executeCommand.join(' ')}`;
  } catch (error) {
    return messageOf(error);
  }
}

function replyFor(error: unknown): 'timeout' | 'copy-failed' | undefined {
  if (error instanceof CopyTimeoutError || error instanceof CommandTimeoutError) return 'timeout';
  return error instanceof CopyError ? 'copy-failed' : undefined;
}

export async function closeTestbed(session: Session): Promise<void> {
  const { testbed } = session;
  delete session.testbed;
  await testbed?.close();
}

function copyPaths(verb: string, words: readonly string[]): readonly [Buffer, Buffer] {
  const [source, destination] = words.map(decodeWord);
  if (source === undefined || destination === undefined || source.length === 0 || destination.length === 0) {
    throw new MisuseError(`${verb} has an empty path`, { remedy: 'give two paths' });
  }
  if ((source.at(-1) === SLASH) !== (destination.at(-1) === SLASH)) {
    throw new MisuseError(`only one path of ${verb} ends with a slash`, {
      remedy: 'end both with one for a directory, none for a file',
    });
  }
  return [source, destination];
}

const SLASH = 0x2f;

/** Never `downtmp-host`: see protocol.md. */
async function capabilities(session: Session): Promise<readonly string[]> {
  const { provider, ownNetwork, log } = session;
  let user: string | undefined;
  let isolated = false;
  try {
    user = await provider.normalUser();
    isolated = ownNetwork && (await provider.startsServices());
    if (user === undefined && session.noUserReported !== true) {
      session.noUserReported = true;
      // A driver then tries to create one, and fails with a message that does not name the cause.
      log.warn(
        'the testbed has no user but root, which autopkgtest needs; virt-ts-unshare doctor names the remedy',
      );
    }
  } catch (error) {
    log.debug(`cannot prepare: ${messageOf(error)}`);
  }
  return [
    'revert',
    'revert-full-system',
    'reboot',
    'root-on-testbed',
    ...(user === undefined ? [] : [`suggested-normal-user=${encodeWord(user)}`]),
    ...(isolated ? ['isolation-container'] : []),
  ];
}
