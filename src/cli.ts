/** The program. Only this file handles signals and the exit status. It imports at once only what the first `ok` needs. */
import { readFileSync, writeSync } from 'node:fs';
import type { Owner } from './command-line/given.ts';
import type { Verb } from './command-line/options/option.ts';
import { parseWords } from './command-line/parse.ts';
import { testbedFromWords } from './command-line/testbed-options.ts';
import { EXIT_TESTBED, messageOf, reasonOf, systemCodeOf, UsageError, VirtError } from './errors.ts';
import type { ProgramEvents } from './events/program.ts';
import { createLog, type Log } from './log.ts';
import { didYouMean } from './nearest.ts';
import { useCommandLineWords } from './option-words.ts';
import { preflight } from './preflight.ts';
import type { RootChoice } from './rootfs/source.ts';
import { scarceError } from './scarce.ts';
import { packageRoot } from './scripts.ts';
import { flushAtEnd, keepStderrBlocking } from './stderr.ts';
import type { TestbedOptions, TestbedProvider } from './testbed/types.ts';
import type { Interrupts } from './verbs/verb.ts';
import { isVerb, VERBS, VERBS_ELSEWHERE } from './verbs.ts';

const EXIT_USAGE = 2;
const EXIT_OUTPUT = 1;
const EXIT_INTERNAL = 16;

type EndingSignal = 'SIGTERM' | 'SIGINT' | 'SIGHUP';
const ENDING_SIGNALS: readonly EndingSignal[] = ['SIGTERM', 'SIGINT', 'SIGHUP'];

type MakeProvider = (options: TestbedOptions, log: Log, root: RootChoice) => Promise<TestbedProvider>;

const makeTestbeds: MakeProvider = async (options, log, root) => {
  const { holdEarly, idMapsFor } = await import('./testbed/holding.ts');
  const idMaps = idMapsFor(options);
  const early = holdEarly(root, { options, idMaps, log });
  const { Provider } = await import('./testbed/provider.ts');
  const provider = new Provider(options, log, { idMaps, early });
  // While the driver prepares its first request.
  provider.warm();
  return provider;
};

/** Runs the program to its end and sets process.exitCode, or ends this process by the signal that ended the work. */
export async function main(
  argv: readonly string[],
  makeProvider: MakeProvider = makeTestbeds,
): Promise<void> {
  keepStderrBlocking();
  useCommandLineWords();
  const [first = '', ...rest] = argv;
  const isServer = first === '' || first.startsWith('-');
  // Node ends with this status when nothing is left to wait for, though the work is not done.
  process.exitCode = isServer ? EXIT_INTERNAL : EXIT_TESTBED;
  let isDone = false;
  process.once('exit', () => {
    if (!isDone)
      createLog().warn('internal error: the program ended before its work was done; please report it');
  });
  const status = await (isServer ? serveWith(argv, makeProvider) : callVerb(first, rest)).catch(
    reportFailure,
  );
  isDone = true;
  if (typeof status === 'number') process.exitCode = outputFailed && status === 0 ? EXIT_OUTPUT : status;
  else {
    flushAtEnd();
    process.kill(process.pid, status);
  }
}

type End = number | EndingSignal;

async function serveWith(argv: readonly string[], makeProvider: MakeProvider): Promise<End> {
  const words = parseWords('server', argv);
  if (words.has('help')) return help('server');
  if (words.has('version')) return sayVersion();
  const testbed = testbedFromWords(words, process.env);
  const root = await preflight(testbed, process.env);
  // Signal handlers take a millisecond, and nothing exists yet that has to be ended in order.
  const unsaid = sayOk();
  if (unsaid !== undefined) {
    const [{ undelivered }, { EXIT }] = await Promise.all([
      import('./protocol/undelivered.ts'),
      import('./protocol/server.ts'),
    ]);
    const failure = undelivered(unsaid);
    if (failure !== undefined) {
      createLog().warn(failure.message);
      return EXIT.ended;
    }
  }
  return untilSignal(async (signal, interrupts) => {
    const log = createLog({ debug: words.has('debug') });
    const events = await eventsFor(testbed.eventFile, log);
    const asksLeaks = testbed.reportLeaks !== undefined || events !== undefined;
    const options = { ...testbed, onEvent: events?.onEvent, asksLeaks };
    const provider = await makeProvider(options, log, root);
    const ownNetwork = testbed.network !== 'host';
    const session = {
      input: process.stdin,
      output: process.stdout,
      provider,
      ownNetwork,
      log,
      signal,
      events,
    };
    const ended = (status: number) => {
      events?.end(status);
      return status;
    };
    if (process.stdin.isTTY) {
      const { converse } = await import('./protocol/manual.ts');
      const screen = process.stdout.isTTY ? process.stdout : process.stderr;
      return ended(await converse({ ...session, input: process.stdin, screen, interrupts }));
    }
    const { serve } = await import('./protocol/server.ts');
    return ended(await serve(session));
  });
}

async function eventsFor(path: string | undefined, log: Log): Promise<ProgramEvents | undefined> {
  if (path === undefined) return undefined;
  const { startEvents } = await import('./events/program.ts');
  return startEvents(path, 'server', log);
}

async function callVerb(verb: string, argv: readonly string[]): Promise<End> {
  if (verb === 'help') return help(argv[0] === undefined ? 'server' : mustBeVerb(argv[0]));
  if (verb === 'version') return sayVersion();
  const name = mustBeVerb(verb);
  const words = parseWords(name, argv);
  if (words.has('help')) return help(name);
  return untilSignal(async (signal, interrupts) => {
    const staysRoot = name === 'debci' || words.has('stay-root');
    const { leaveSudo } = await import('./sudo.ts');
    const elsewhere = staysRoot ? undefined : await leaveSudo(process.env, signal, interrupts);
    if (elsewhere !== undefined) return elsewhere;
    watchOutput();
    const run = await VERBS[name]();
    return run(words, signal, interrupts);
  });
}

function mustBeVerb(word: string): Verb {
  if (isVerb(word)) return word;
  const known = Object.keys(VERBS);
  const elsewhere = VERBS_ELSEWHERE.get(word);
  const meant = elsewhere === undefined ? didYouMean(word, known) : ` (did you mean ${elsewhere})`;
  throw new UsageError(`unknown verb ${word}${meant}`, {
    code: 'UNKNOWN_VERB',
    remedy: `give one of ${known.join(', ')}, or --help`,
  });
}

/** Runs `work` with an AbortSignal that the first ending signal aborts. Gives that signal, or the status of the work. */
async function untilSignal(
  work: (signal: AbortSignal, interrupts: Interrupts) => Promise<number>,
): Promise<End> {
  const ending = new AbortController();
  const interrupts: Interrupts = {};
  let received: EndingSignal | undefined;
  const onSignal = (signal: EndingSignal) => {
    if (signal === 'SIGINT' && interrupts.handler?.() === true) return;
    // A second Ctrl-C.
    if (signal === 'SIGINT' && received === signal) void hurry();
    received ??= signal;
    ending.abort();
  };
  for (const signal of ENDING_SIGNALS) process.on(signal, onSignal);
  try {
    const status = await work(ending.signal, interrupts);
    return received ?? status;
  } catch (error) {
    if (received === undefined) throw error;
    if (error !== ending.signal.reason) reportFailure(error);
    return received;
  } finally {
    for (const signal of ENDING_SIGNALS) process.removeListener(signal, onSignal);
  }
}

async function hurry(): Promise<void> {
  const { hurryEnds } = await import('./rootfs/end-build.ts');
  hurryEnds();
}

function reportFailure(failure: unknown): number {
  const log = createLog();
  const error = scarceError(failure) ?? failure;
  if (error instanceof VirtError) {
    log.warn(error.message);
    return error instanceof UsageError ? EXIT_USAGE : EXIT_TESTBED;
  }
  log.warn(`internal error: ${error instanceof Error ? (error.stack ?? error.message) : messageOf(error)}`);
  return EXIT_INTERNAL;
}

let outputFailed = false;

/** A closed reader of stdout is no failure, as in `virt-ts-unshare ps | head -1`; a full disk is one. */
function watchOutput(): void {
  process.stdout.on('error', (error) => {
    if (systemCodeOf(error) === 'EPIPE' || outputFailed) return;
    outputFailed = true;
    if (process.exitCode === 0) process.exitCode = EXIT_OUTPUT;
    createLog().warn(`cannot write to stdout: ${reasonOf(error)}`);
  });
}

/** Gives the error, if there is one. A driver that does not read stdout closes stdin too, which ends the session. */
function sayOk(): unknown {
  try {
    writeSync(1, 'ok\n');
    return undefined;
  } catch (error) {
    return error;
  }
}

async function help(owner: Owner): Promise<number> {
  const { helpText } = await import('./command-line/help.ts');
  return say(helpText(owner, process.stdout.columns));
}

function say(text: string): number {
  watchOutput();
  process.stdout.write(text);
  return 0;
}

function sayVersion(): number {
  const about: unknown = JSON.parse(readFileSync(`${packageRoot()}/package.json`, 'utf8'));
  const known = typeof about === 'object' && about !== null && 'version' in about;
  return say(`virt-ts-unshare ${known ? String(about.version) : 'of unknown version'}\n`);
}
