import {
  CommandFailedError,
  CommandTimeoutError,
  OutputLimitError,
  systemCodeOf,
  TestbedError,
  UsageError,
} from '../errors.ts';
import type { Argv } from '../host.ts';
import { shellLine } from '../log.ts';
import { endOfCommand, NotRunError, type StartedCommand } from '../testbed/execute.ts';
import type { Testbed } from '../testbed/testbed.ts';
import { unlessAborted, within } from '../wait.ts';
import { argvOf, checkCommandOptions, checkRunOptions } from './checks.ts';
import type { Command, CommandOptions, RunningCommand, RunOptions } from './command.ts';
import type { Pipes } from './fifos.ts';
import type { LineLog } from './line-log.ts';
import {
  closeDescriptors,
  destroyStreams,
  feed,
  inputPipe,
  inputWire,
  linesPipe,
  makeWires,
  outputWire,
  receive,
} from './wires.ts';

const MAX_OUTPUT = 64 * 1024 * 1024;
/** Milliseconds in which the rest of its output is read, at least, after a command has ended or was killed. */
const LAST_OUTPUT = 500;

export interface StartPlace {
  readonly testbed: Testbed;
  readonly pipes: Pipes;
  /** A command that is a part of something else has no event of its own. */
  readonly isPart?: boolean;
}

export async function startPiped(
  place: StartPlace,
  command: Command,
  options: CommandOptions,
): Promise<RunningCommand> {
  const argv = argvOf(command);
  checkCommandOptions('start', options);
  options.signal?.throwIfAborted();
  const { pipes } = place;
  const output = () => linesPipe(pipes);
  const wires = await makeWires(() => inputPipe(pipes), output, output);
  const started = await startWired(place, argv, wires, options);
  const ended = endForCaller(started, argv, options).finally(() => place.testbed.recorded());
  // It is no unhandled rejection when the caller does not look at `ended`.
  ended.catch(() => {});
  const [stdin, stdout, stderr] = wires;
  const running: RunningCommand = {
    stdin: stdin.stream,
    stdout: stdout.stream,
    stderr: stderr.stream,
    get lines() {
      return stdout.stream.lines();
    },
    get errorLines() {
      return stderr.stream.lines();
    },
    ended,
    kill: () => started.kill('SIGKILL'),
  };
  runningCommands.set(running, { argv, logs: () => [stdout.stream.lines(), stderr.stream.lines()] });
  return running;
}

interface Logs {
  readonly argv: Argv;
  readonly logs: () => readonly LineLog[];
}

const runningCommands = new WeakMap<RunningCommand, Logs>();

/** What waitFor looks at. Undefined when it is no command of `start`. */
export function logsOf(running: RunningCommand): Logs | undefined {
  return runningCommands.get(running);
}

type Output = string | Buffer | undefined;

interface CommandOutcome {
  readonly status: number;
  readonly stdout: Output;
  readonly stderr: Output;
}

export async function runToEnd(
  place: StartPlace,
  command: Command,
  options: RunOptions,
): Promise<CommandOutcome> {
  const argv = argvOf(command);
  checkRunOptions(options);
  const { stdout = 'text', stderr = 'text', maxOutput = MAX_OUTPUT, check = false } = options;
  options.signal?.throwIfAborted();
  const { pipes } = place;
  const wires = await makeWires(
    () => inputWire(pipes, options),
    () => outputWire(pipes, stdout, 1),
    () => outputWire(pipes, stderr, 2),
  );
  const [stdin, out, err] = wires;
  const started = await startWired(place, argv, wires, options);
  // Ends the command early: too much output, or a stream of the caller that failed.
  const failure = new AbortController();
  const fail = (reason: unknown): undefined => void failure.abort(reason);
  const onLimit = () => fail(tooMuch(argv, maxOutput));
  const feeding = feed(stdin.stream, options).catch(fail);
  const receiving = Promise.all([
    receive(out.stream, stdout, maxOutput, onLimit).catch(fail),
    receive(err.stream, stderr, maxOutput, onLimit).catch(fail),
  ]).then(([first, second]) => ({ stdout: first, stderr: second }));
  const signals = [failure.signal, ...(options.signal === undefined ? [] : [options.signal])];
  try {
    const signal = AbortSignal.any(signals);
    const begin = performance.now();
    const { status } = await endForCaller(started, argv, { ...options, signal });
    const left =
      options.timeout && Math.max(LAST_OUTPUT, options.timeout * 1000 - (performance.now() - begin));
    if (!(await inTime(receiving, left, signal))) throw withoutEnd(argv);
    const outputs = await receiving;
    failure.signal.throwIfAborted();
    if (check && status !== 0) throw failed(argv, status, outputs);
    return { status, ...outputs };
  } catch (error) {
    const { aborted, reason } = failure.signal;
    // A stream of the caller may take nothing any more.
    await within(receiving, LAST_OUTPUT);
    destroyStreams(wires);
    if (aborted) throw reason;
    throw error instanceof CommandTimeoutError ? withOutput(error, await receiving) : error;
  } finally {
    stdin.stream?.destroy();
    await Promise.allSettled([feeding, receiving, place.testbed.recorded()]);
  }
}

/** False when it is aborted, or after so many milliseconds. */
async function inTime(
  work: Promise<unknown>,
  limit: number | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  const ended = unlessAborted(work, signal).then(
    () => true,
    () => false,
  );
  return limit === undefined ? ended : (await within(ended, limit)) && ended;
}

/** @throws as endOfCommand; UsageError when the testbed lacks what the options name */
async function endForCaller(
  started: StartedCommand,
  argv: Argv,
  options: Pick<CommandOptions, 'timeout' | 'signal'>,
): Promise<{ readonly status: number }> {
  try {
    return await endOfCommand(started, argv, options);
  } catch (error) {
    throw error instanceof NotRunError ? error.forCaller() : error;
  }
}

/** Its own processes hold its output no more, but that of another command may have got a descriptor. */
function withoutEnd(argv: Argv): CommandTimeoutError {
  return new CommandTimeoutError(`${shellLine(argv)} has ended, but not its output`, {
    remedy: 'look for a process of another command that holds it, or for a stream that takes no more',
  });
}

type Outputs = Pick<CommandOutcome, 'stdout' | 'stderr'>;

function tooMuch(argv: Argv, maxOutput: number): OutputLimitError {
  return new OutputLimitError(`${shellLine(argv)} wrote more than ${maxOutput} bytes and was ended`, {
    remedy: 'raise maxOutput, or give a stream as stdout or stderr',
  });
}

function failed(argv: Argv, status: number, outputs: Outputs): CommandFailedError {
  const [stdout, stderr] = [outputs.stdout?.toString(), outputs.stderr?.toString()];
  const last = stderr?.trim().split('\n').at(-1);
  const reason = last ? `: ${last}` : '';
  return new CommandFailedError(`${shellLine(argv)} ended with status ${status}${reason}`, {
    status,
    stdout,
    stderr,
  });
}

function withOutput(error: CommandTimeoutError, { stdout, stderr }: Outputs): CommandTimeoutError {
  const { message, code, remedy } = error;
  const what = remedy === undefined ? message : message.slice(0, -`; ${remedy}`.length);
  return new CommandTimeoutError(what, {
    code,
    remedy,
    cause: error.cause ?? error,
    stdout: stdout?.toString(),
    stderr: stderr?.toString(),
  });
}

/** The kernel has a limit for all words and variables of a program, and one for each of them. */
function isTooLong(error: unknown): boolean {
  return error instanceof TestbedError && systemCodeOf(error.cause) === 'E2BIG';
}

function tooLong([program]: Argv, cause: unknown): UsageError {
  return new UsageError(`the arguments or variables of ${program} are longer than the kernel allows`, {
    code: 'TOO_LONG',
    remedy: 'give what is long as input, or write it to a file of the testbed',
    cause,
  });
}

async function startWired(
  { testbed, isPart = false }: StartPlace,
  argv: Argv,
  wires: Awaited<ReturnType<typeof makeWires>>,
  { cwd, env, user }: CommandOptions,
): Promise<StartedCommand> {
  try {
    return await testbed.start(argv, [wires[0].descriptor, wires[1].descriptor, wires[2].descriptor], {
      ...(cwd === undefined ? {} : { cwd }),
      ...(env === undefined ? {} : { env }),
      ...(user === undefined ? {} : { user }),
      isPart,
    });
  } catch (error) {
    destroyStreams(wires);
    throw isTooLong(error) ? tooLong(argv, error) : error;
  } finally {
    closeDescriptors(wires);
  }
}
