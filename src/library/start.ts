/** Starts a command with descriptors or pipes, and runs one to its end with its output where it was wanted. */
import { closeSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CommandFailedError, OutputLimitError, UsageError } from '../errors.ts';
import type { Argv, HostProcess } from '../host.ts';
import { shellLine } from '../log.ts';
import { endOfCommand, NotRunError } from '../testbed/execute.ts';
import type { Testbed } from '../testbed/testbed.ts';
import { argvOf, checkCommandOptions } from './checks.ts';
import type { Command, CommandOptions, OutputTo, RunningCommand, RunOptions } from './command.ts';
import type { Pipes } from './pipes.ts';

const MAX_OUTPUT = 64 * 1024 * 1024;

export interface Place {
  readonly testbed: Testbed;
  readonly pipes: Pipes;
}

/** One of a command's three descriptors: the end that the command gets, and ours, if it is a pipe. */
interface Wire<Ours> {
  readonly theirs: number;
  /** Whether `theirs` is to be closed once the command has it. */
  readonly close: boolean;
  readonly ours: Ours;
}

/** Starts a command with three pipes. */
export async function startPiped(
  place: Place,
  command: Command,
  options: CommandOptions,
): Promise<RunningCommand> {
  const argv = argvOf(command);
  checkCommandOptions('start', options);
  options.signal?.throwIfAborted();
  const wires = [
    await inputPipe(place.pipes),
    await outputPipe(place.pipes),
    await outputPipe(place.pipes),
  ] as const;
  const [stdin, stdout, stderr] = wires;
  const started = await startWired(place, argv, wires, options);
  const ended = endOfCommand(started, argv, options);
  // Who never looks at `ended` did not want to know.
  ended.catch(() => {});
  return {
    stdin: stdin.ours,
    stdout: stdout.ours,
    stderr: stderr.ours,
    ended,
    kill: () => started.kill('SIGKILL'),
  };
}

export interface Outcome {
  readonly status: number;
  readonly stdout: string | Buffer | undefined;
  readonly stderr: string | Buffer | undefined;
}

/** Runs a command to its end. See Testbed.run for what it throws. */
export async function runToEnd(place: Place, command: Command, options: RunOptions): Promise<Outcome> {
  const argv = argvOf(command);
  checkCommandOptions('run', options);
  const { input, check = false, maxOutput = MAX_OUTPUT } = options;
  if (input !== undefined && options.stdin !== undefined) {
    throw new UsageError('input and stdin both say what the command reads; give one of them');
  }
  options.signal?.throwIfAborted();
  const stdin = await inputWire(place.pipes, input, options.stdin ?? 'ignore');
  const stdout = await outputWire(place.pipes, options.stdout ?? 'text', 1);
  const stderr = await outputWire(place.pipes, options.stderr ?? 'text', 2);
  const started = await startWired(place, argv, [stdin, stdout, stderr], options);
  const tooMuch = new AbortController();
  const signal =
    options.signal === undefined ? tooMuch.signal : AbortSignal.any([options.signal, tooMuch.signal]);
  const onLimit = () => tooMuch.abort();
  const feeding = feed(stdin.ours, input, options.stdin);
  const outputs = Promise.all([
    receive(stdout.ours, options.stdout ?? 'text', maxOutput, onLimit),
    receive(stderr.ours, options.stderr ?? 'text', maxOutput, onLimit),
  ]);
  try {
    const { status } = await endOfCommand(started, argv, { ...options, signal });
    const [out, err] = await outputs;
    if (check && status !== 0) throw failed(argv, status, out, err);
    return { status, stdout: out, stderr: err };
  } catch (error) {
    if (tooMuch.signal.aborted) {
      throw new OutputLimitError(
        `${shellLine(argv)} wrote more than ${maxOutput} bytes and was ended; raise maxOutput or give it a stream`,
        { cause: error },
      );
    }
    if (error instanceof NotRunError) {
      const [, err] = await outputs;
      throw error.told(String(err));
    }
    throw error;
  } finally {
    stdin.ours?.destroy();
    await Promise.allSettled([feeding, outputs]);
  }
}

function failed(
  argv: Argv,
  status: number,
  out: string | Buffer | undefined,
  err: string | Buffer | undefined,
): CommandFailedError {
  const [stdout, stderr] = [out?.toString(), err?.toString()];
  const last = stderr?.trim().split('\n').at(-1);
  const words = last ? `: ${last}` : '';
  return new CommandFailedError(`${shellLine(argv)} ended with status ${status}${words}`, {
    status,
    stdout,
    stderr,
  });
}

async function startWired(
  { testbed }: Place,
  argv: Argv,
  wires: readonly [Wire<unknown>, Wire<unknown>, Wire<unknown>],
  { cwd, env, user }: CommandOptions,
): Promise<HostProcess> {
  try {
    return await testbed.start(argv, [wires[0].theirs, wires[1].theirs, wires[2].theirs], {
      ...(cwd === undefined ? {} : { cwd }),
      ...(env === undefined ? {} : { env }),
      ...(user === undefined ? {} : { user }),
    });
  } finally {
    // Ours would keep the reader of a pipe waiting for ever.
    for (const { theirs, close } of wires) if (close) closeSync(theirs);
  }
}

async function inputPipe(pipes: Pipes): Promise<Wire<Writable>> {
  const { read, write } = await pipes.take();
  const ours = new Socket({ fd: write, readable: false, writable: true });
  // A command that does not read all it is given is no error.
  ours.on('error', () => {});
  return { theirs: read, close: true, ours };
}

async function outputPipe(pipes: Pipes): Promise<Wire<Readable>> {
  const { read, write } = await pipes.take();
  return { theirs: write, close: true, ours: new Socket({ fd: read, readable: true, writable: false }) };
}

async function inputWire(
  pipes: Pipes,
  input: string | Uint8Array | undefined,
  stdin: NonNullable<RunOptions['stdin']>,
): Promise<Wire<Writable | undefined>> {
  if (input !== undefined || typeof stdin !== 'string') return inputPipe(pipes);
  if (stdin === 'inherit') return { theirs: 0, close: false, ours: undefined };
  return { theirs: openSync('/dev/null', 'r'), close: true, ours: undefined };
}

async function outputWire(
  pipes: Pipes,
  to: OutputTo,
  inherited: number,
): Promise<Wire<Readable | undefined>> {
  if (to === 'inherit') return { theirs: inherited, close: false, ours: undefined };
  if (to === 'ignore') return { theirs: openSync('/dev/null', 'w'), close: true, ours: undefined };
  return outputPipe(pipes);
}

async function feed(
  ours: Writable | undefined,
  input: string | Uint8Array | undefined,
  stdin: RunOptions['stdin'],
): Promise<void> {
  if (ours === undefined) return;
  if (input !== undefined) {
    ours.end(input);
  } else if (stdin !== undefined && typeof stdin !== 'string') {
    await pipeline(stdin, ours);
  }
}

async function receive(
  ours: Readable | undefined,
  to: OutputTo,
  limit: number,
  onLimit: () => void,
): Promise<string | Buffer | undefined> {
  if (ours === undefined) return undefined;
  if (typeof to !== 'string') {
    await pipeline(ours, to, { end: false });
    return undefined;
  }
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of ours) {
    size += chunk.length;
    // Read on: the command has to find a reader until it is dead.
    if (size > limit) onLimit();
    else chunks.push(chunk);
  }
  const all = Buffer.concat(chunks);
  return to === 'bytes' ? all : all.toString('utf8');
}
