/** The interactive session, which an error does not end. Ctrl-C ends a running command, Ctrl-D the session. */
import { createInterface, type Interface } from 'node:readline';
import type { Writable } from 'node:stream';
import type { ReadStream } from 'node:tty';
import { MisuseError, messageOf, UsageError, VirtError } from '../errors.ts';
import { scarceError } from '../scarce.ts';
import { COMMANDS, closeTestbed, perform, type Session } from './commands.ts';
import { addHistory, HISTORY_LINES, historyPath, readHistory } from './history.ts';
import { parseRequest, quoted } from './line.ts';
import { EXIT, type ServeOptions } from './server.ts';
import { once, unlessStopped } from './stop.ts';

interface ConverseOptions extends ServeOptions {
  readonly input: ReadStream;
  /** For prompts; replies go to `output`. */
  readonly screen: Writable;
  readonly interrupts: { handler?: (() => boolean) | undefined };
}

export async function converse(options: ConverseOptions): Promise<number> {
  const { input, screen, output, provider, ownNetwork, log, signal } = options;
  const session: Session = { provider, log, ownNetwork };
  const dispose = once(() => provider.dispose());
  const historyFile = historyPath(process.env);
  output.on('error', () => {});
  screen.write('Type help to list the commands. Tab completes them, Ctrl-D ends the session.\n');
  const editor = createInterface({
    input,
    output: screen,
    terminal: true,
    prompt: 'virt-ts-unshare> ',
    history: readHistory(historyFile, log),
    historySize: HISTORY_LINES,
    removeHistoryDuplicates: true,
    completer: complete,
  });
  let isOpen = true;
  editor.once('close', () => {
    isOpen = false;
  });
  endAtHangup(input, editor);
  let status: number = EXIT.quit;
  try {
    for await (const line of typedLines({ input, screen, editor }, signal)) {
      if (line.trim() === '') continue;
      addHistory(historyFile, line, log);
      const work = () => carryOut(options, session, dispose, line);
      const goOn = isOpen ? await withoutEditor({ input, screen, editor }, () => isOpen, work) : await work();
      if (!goOn) break;
    }
    await closeTestbed(session);
  } catch (error) {
    const shown = scarceError(error) ?? error;
    status = shown instanceof VirtError ? EXIT.ended : EXIT.internal;
    log.warn(shown instanceof VirtError ? shown.message : internal(error));
  }
  editor.close();
  try {
    await dispose();
  } catch (error) {
    status = EXIT.ended;
    log.warn(messageOf(error));
  }
  input.destroy();
  return status;
}

/** A terminal that was hung up fails each call. Its session ends as by Ctrl-D; most often SIGHUP ends it too. */
function endAtHangup(input: ReadStream, editor: Interface): void {
  let isEnding = false;
  // Of a call after the end of the editor.
  input.on('error', () => {});
  editor.on('error', () => {
    if (isEnding) return;
    // To close it is such a call.
    isEnding = true;
    editor.close();
  });
}

/** False for the last line. Throws what ends the session. */
async function carryOut(
  options: ConverseOptions,
  session: Session,
  dispose: () => Promise<void>,
  line: string,
): Promise<boolean> {
  const { output, log, signal, interrupts } = options;
  const interrupt = new AbortController();
  session.interrupt = interrupt.signal;
  try {
    const typed = parseRequest(Buffer.from(line, 'utf8').toString('latin1'));
    const request = typed.verb === 'exit' ? { ...typed, verb: 'quit' } : typed;
    if (request.verb === 'help') {
      output.write(help(request.words[0]));
      return true;
    }
    interrupts.handler = interruptHandler(request.verb, interrupt);
    const reply = await unlessStopped(perform(session, request), signal, dispose);
    output.write(`${reply}\n`);
    return request.verb !== 'quit';
  } catch (error) {
    if (signal.aborted) return false;
    if (error instanceof Interrupted || error instanceof MisuseError || error instanceof UsageError) {
      log.warn(error.message);
      return true;
    }
    if (!(error instanceof VirtError)) throw error;
    log.warn(`${error.message} (the testbed is closed)`);
    await closeTestbed(session);
    return true;
  } finally {
    interrupts.handler = undefined;
  }
}

class Interrupted extends VirtError {
  override name = 'Interrupted';
}

/** A Ctrl-C ends a command, is left to a shell, and ends the session during other requests. */
function interruptHandler(verb: string, interrupt: AbortController): (() => boolean) | undefined {
  if (verb === 'shell') return () => true;
  if (verb !== 'command') return undefined;
  return () => {
    interrupt.abort(new Interrupted('the command was interrupted'));
    return true;
  };
}

async function* typedLines({ input, screen, editor }: Screen, signal: AbortSignal): AsyncGenerator<string> {
  const lines: string[] = [];
  let closed = false;
  let wake = () => {};
  editor.on('line', (line) => {
    // readline gives a half-typed line at the end of the input.
    if (!input.readableEnded) lines.push(line);
    wake();
  });
  editor.once('close', () => {
    closed = true;
    wake();
  });
  editor.on('SIGINT', () => {
    // As a shell does: the typed line is discarded.
    editor.write(null, { ctrl: true, name: 'e' });
    editor.write(null, { ctrl: true, name: 'u' });
    screen.write('^C\n');
    editor.prompt();
  });
  const end = () => editor.close();
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  while (!signal.aborted) {
    const line = lines.shift();
    if (line !== undefined) {
      yield line;
      continue;
    }
    // Lines that were pasted together with a Ctrl-D come first.
    if (closed) break;
    editor.prompt();
    await new Promise<void>((resolve) => {
      wake = resolve;
      if (lines.length > 0 || closed) resolve();
    });
  }
  signal.removeEventListener('abort', end);
  if (!signal.aborted) screen.write('\n');
}

interface Screen {
  readonly input: ReadStream;
  readonly screen: Writable;
  readonly editor: Interface;
}

/** Leaves raw mode during a request: Ctrl-C is a signal again, and a shell can read input. */
async function withoutEditor<T>(
  { input, screen, editor }: Screen,
  isOpen: () => boolean,
  work: () => Promise<T>,
): Promise<T> {
  editor.pause();
  input.setRawMode(false);
  // readline shows its prompt again, also when it is paused.
  const whenResized = screen.listeners('resize').filter(isListener);
  screen.removeAllListeners('resize');
  try {
    return await work();
  } finally {
    for (const listener of whenResized) screen.on('resize', listener);
    // An editor that a signal has closed must not be resumed: from version 24 on Node.js takes it for an error.
    if (isOpen() && !input.destroyed) input.setRawMode(true);
    if (isOpen()) editor.resume();
  }
}

function isListener(value: unknown): value is () => void {
  return typeof value === 'function';
}

const VERBS = [...Object.keys(COMMANDS), 'exit', 'help'];

export function complete(line: string): [string[], string] {
  const [, before = '', word = ''] = /^(\s*(?:help\s+)?)(\S*)$/.exec(line) ?? [];
  if (before + word !== line) return [[], line];
  return [VERBS.filter((verb) => verb.startsWith(word)).map((verb) => `${verb} `), word];
}

export function help(verb?: string): string {
  if (verb === undefined) {
    const rows = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(23)}${summary}\n`);
    return `${rows.join('')}  ${'exit'.padEnd(23)}the same as quit\n  ${'help [COMMAND]'.padEnd(23)}this list, or more about a command\nWrite a blank in a word as %20, a comma as %2C, a percent sign as %25.\n`;
  }
  const row = Object.hasOwn(COMMANDS, verb) ? COMMANDS[verb] : undefined;
  if (row === undefined) return `There is no command ${quoted(verb)}; help lists them all.\n`;
  return `${`${verb} ${row.usage}`.trim()}\n  ${row.summary}\n`;
}

function internal(error: unknown): string {
  return `internal error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}
