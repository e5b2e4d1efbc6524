/**
 * The program: argv → server, manual session or one of the other verbs. Sole owner of signals and of the exit status.
 * What the first `ok` needs is imported at once, all else when it is needed: the driver waits for that line.
 */
import { readFileSync, writeSync } from 'node:fs';
import { EXIT_TESTBED, messageOf, UsageError, VirtError } from './errors.ts';
import { createLog, type Log } from './log.ts';
import { usage } from './option-words.ts';
import { parseOptions } from './options.ts';
import { preflight } from './preflight.ts';
import { packageRoot } from './scripts.ts';
import { leaveSudo, takeStayRoot } from './sudo.ts';
import type { TestbedOptions, TestbedProvider } from './testbed/types.ts';
import type { Interrupts } from './verbs/verb.ts';
import { VERBS } from './verbs.ts';

/** Exit status for a wrong call; what a session's end means is in protocol/server.ts. */
const EXIT_USAGE = 2;
const EXIT_INTERNAL = 16;

type EndingSignal = 'SIGTERM' | 'SIGINT' | 'SIGHUP';
const ENDING_SIGNALS: readonly EndingSignal[] = ['SIGTERM', 'SIGINT', 'SIGHUP'];

export type MakeProvider = (options: TestbedOptions, log: Log) => Promise<TestbedProvider>;

const makeTestbeds: MakeProvider = async (options, log) => {
  const { Provider } = await import('./testbed/provider.ts');
  const provider = new Provider(options, log);
  // While the driver thinks about its first request.
  provider.warm();
  return provider;
};

/**
 * Runs the program to its end and sets process.exitCode, or dies by the signal that ended it. `makeProvider` is what the
 * tests replace.
 */
export async function main(
  argv: readonly string[],
  makeProvider: MakeProvider = makeTestbeds,
): Promise<void> {
  const [first] = argv;
  if (first === 'help') return say(usage(VERBS));
  if (first !== undefined && !first.startsWith('-')) return runVerb(first, argv.slice(1));
  let parsed: ReturnType<typeof parseOptions>;
  try {
    parsed = parseOptions(argv, process.env);
    if (parsed.action === 'serve') await preflight(parsed.testbed, process.env);
  } catch (error) {
    return failBeforeStart(error);
  }
  if (parsed.action === 'help') return say(usage(VERBS));
  if (parsed.action === 'version') return say(`virt-ts-unshare ${version()}\n`);
  const { testbed, debug } = parsed;
  await untilSignal(async (signal, interrupts) => {
    sayOk();
    const log = createLog({ debug });
    const provider = await makeProvider(testbed, log);
    const ownNetwork = testbed.network !== 'host';
    const session = { input: process.stdin, output: process.stdout, provider, ownNetwork, log, signal };
    if (process.stdin.isTTY) {
      const { converse } = await import('./protocol/manual.ts');
      const screen = process.stdout.isTTY ? process.stdout : process.stderr;
      return converse({ ...session, input: process.stdin, screen, interrupts });
    }
    const { serve } = await import('./protocol/server.ts');
    return serve(session);
  });
}

async function runVerb(name: string, argv: readonly string[]): Promise<void> {
  const verb = Object.hasOwn(VERBS, name) ? VERBS[name] : undefined;
  if (verb === undefined) {
    const known = Object.keys(VERBS).join(', ');
    return failBeforeStart(new UsageError(`unknown verb ${name}; give one of ${known}, or --help`));
  }
  await untilSignal(async (signal, interrupts) => {
    // Before anything is read or made in the name of the wrong user.
    const { words, stay } = takeStayRoot(argv);
    if (!stay) leaveSudo(process.env);
    const run = await verb.load();
    return run(words, signal, interrupts);
  });
}

/**
 * Runs `work` with an AbortSignal that the first ending signal aborts. Then the process dies by that signal once the
 * work is done, however many more arrive meanwhile; else the work's result becomes the exit status.
 */
async function untilSignal(
  work: (signal: AbortSignal, interrupts: Interrupts) => Promise<number>,
): Promise<void> {
  const ending = new AbortController();
  const interrupts: Interrupts = {};
  let received: EndingSignal | undefined;
  const onSignal = (signal: EndingSignal) => {
    if (signal === 'SIGINT' && interrupts.handler?.() === true) return;
    received ??= signal;
    ending.abort();
  };
  for (const signal of ENDING_SIGNALS) process.on(signal, onSignal);
  try {
    process.exitCode = await work(ending.signal, interrupts);
  } catch (error) {
    // That a signal ended the work is told by the death alone.
    if (received === undefined || error !== ending.signal.reason) process.exitCode = tellFailure(error);
  }
  for (const signal of ENDING_SIGNALS) process.removeListener(signal, onSignal);
  if (received !== undefined) process.kill(process.pid, received);
}

function failBeforeStart(error: unknown): void {
  process.exitCode = tellFailure(error);
}

/** Says what went wrong, and gives the exit status for it. */
function tellFailure(error: unknown): number {
  const log = createLog();
  if (error instanceof UsageError) {
    log.warn(error.message);
    return EXIT_USAGE;
  }
  if (error instanceof VirtError) {
    log.warn(error.message);
    return EXIT_TESTBED;
  }
  log.warn(`internal error: ${error instanceof Error ? (error.stack ?? error.message) : messageOf(error)}`);
  return EXIT_INTERNAL;
}

/** The first line of the protocol, without loading Node's stream for stdout. */
function sayOk(): void {
  try {
    writeSync(1, 'ok\n');
  } catch {
    // Who does not read gets no answer; end of file on stdin will end us.
  }
}

function say(text: string): void {
  process.stdout.write(text);
}

function version(): string {
  const about: unknown = JSON.parse(readFileSync(`${packageRoot()}/package.json`, 'utf8'));
  if (typeof about === 'object' && about !== null && 'version' in about) return String(about.version);
  return 'of unknown version';
}
