/**
 * The table of the protocol's commands: name, words, required state, handler. The server and the manual session both
 * run requests through `perform`; protocol.md has one section for each row, and a test holds the two together.
 */
import { CommandTimeoutError, CopyError, CopyTimeoutError, MisuseError, messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { OpenTestbed, TestbedProvider } from '../testbed/types.ts';
import { serveCommand } from './command.ts';
import { decodeText, decodeWord, encodeList, encodeWord, quoted, type Request } from './line.ts';
import { openShell } from './shell.ts';

/** What requests share from one line to the next. */
export interface Session {
  readonly provider: TestbedProvider;
  readonly log: Log;
  /** The testbed has a network of its own: nothing in it meets the host's ports. */
  readonly ownNetwork: boolean;
  /** Undefined in the state Closed. */
  testbed?: OpenTestbed;
  /** Whether it was said that there is no normal user. */
  toldNoUser?: boolean;
  /** Aborted to end the running `command`: the server's end, or in the interactive session a Ctrl-C, which ends only that. */
  interrupt?: AbortSignal;
}

/** What follows `ok` in the reply: words, encoded. */
type Answer = readonly string[];

interface Description {
  /** What follows the name, for help texts. */
  readonly usage: string;
  readonly summary: string;
  readonly words: readonly [min: number, max: number];
}
/** `state` is what the session must be in; a handler of an open one gets the testbed. */
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
    summary: 'say what this server can do',
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
    summary: 'undo everything since open; answers the scratch directory',
    words: [0, 0],
    state: 'open',
    handle: async (testbed) => {
      await testbed.revert();
      return [encodeWord(testbed.scratchDirectory)];
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
    summary: 'answer the argv that runs a command in the testbed when put before it',
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
    usage: 'DIR [K=V]...',
    summary: 'open an interactive shell on the terminal',
    words: [1, Number.POSITIVE_INFINITY],
    state: 'open',
    handle: async (testbed, words, session) => {
      await openShell(testbed, words.map(decodeText), session.log);
      return [];
    },
  },
  'auxverb-debug-fail': {
    usage: '',
    summary: 'say on stderr what helps to find out why a command could not be run',
    words: [0, 0],
    state: 'any',
    handle: async (session) => {
      const { testbed, log } = session;
      log.warn(
        testbed === undefined
          ? 'no testbed is open'
          : `a testbed is open; its execute command is ${testbed.executeCommand.join(' ')}`,
      );
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

/**
 * Does what a request says and gives the reply, without newline. Throws MisuseError for a request that cannot be
 * served, and whatever else the testbed throws. A failed copy is a reply.
 */
export async function perform(session: Session, request: Request): Promise<string> {
  const row = Object.hasOwn(COMMANDS, request.verb) ? COMMANDS[request.verb] : undefined;
  if (row === undefined) {
    throw new MisuseError(
      `unknown command ${quoted(request.verb)}; known are ${Object.keys(COMMANDS).join(', ')}`,
    );
  }
  const { verb, words } = request;
  const [min, max] = row.words;
  if (words.length < min || words.length > max) {
    const problem = words.length < min ? 'too few' : 'too many';
    throw new MisuseError(`${problem} words for ${verb}; it is: ${`${verb} ${row.usage}`.trim()}`);
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
    if (testbed === undefined) throw new MisuseError(`${verb} when not open; send open first`);
    return row.handle(testbed, words, session);
  }
  if (row.state === 'closed' && testbed !== undefined) {
    throw new MisuseError(`${verb} when already open; send close first`);
  }
  return row.handle(session, words);
}

/** The failures that leave the testbed as good as before are replies; all others end the session. */
function replyFor(error: unknown): 'timeout' | 'copy-failed' | undefined {
  if (error instanceof CopyTimeoutError || error instanceof CommandTimeoutError) return 'timeout';
  return error instanceof CopyError ? 'copy-failed' : undefined;
}

/** Brings the session to Closed. A failure is thrown once; the session is then closed all the same. */
export async function closeTestbed(session: Session): Promise<void> {
  const { testbed } = session;
  delete session.testbed;
  await testbed?.close();
}

function copyPaths(verb: string, words: readonly string[]): readonly [Buffer, Buffer] {
  const [source, destination] = words.map(decodeWord);
  if (source === undefined || destination === undefined || source.length === 0 || destination.length === 0) {
    throw new MisuseError(`${verb} needs two paths that are not empty`);
  }
  if ((source.at(-1) === SLASH) !== (destination.at(-1) === SLASH)) {
    throw new MisuseError(
      `the paths of ${verb} disagree about the trailing slash; end both with one for a directory, none for a file`,
    );
  }
  return [source, destination];
}

const SLASH = 0x2f;

/** Never `downtmp-host`: see protocol.md. */
async function capabilities(session: Session): Promise<readonly string[]> {
  const { provider, ownNetwork, log } = session;
  let user: string | undefined;
  try {
    user = await provider.normalUser();
    if (user === undefined && session.toldNoUser !== true) {
      session.toldNoUser = true;
      // A driver would go on to make one, and fail with words that nobody understands.
      log.warn(
        'the testbed has no user but root, and autopkgtest needs one; virt-ts-unshare doctor names the remedy',
      );
    }
  } catch (error) {
    // Whatever keeps testbeds from being made is told by open.
    log.debug(`no normal user: ${messageOf(error)}`);
  }
  return [
    'revert',
    'revert-full-system',
    'root-on-testbed',
    ...(user === undefined ? [] : [`suggested-normal-user=${encodeWord(user)}`]),
    ...(ownNetwork ? ['isolation-container'] : []),
  ];
}
