import { closeSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { systemCodeOf } from '../errors.ts';
import { forStream } from './adopt.ts';
import type { OutputTo, RunOptions } from './command.ts';
import type { Pipes } from './fifos.ts';
import { Output } from './output.ts';

interface Wire<S extends Readable | Writable | undefined> {
  readonly descriptor: number;
  readonly close: boolean;
  readonly stream: S;
}

type AnyWire = Wire<Readable | Writable | undefined>;

/** When one fails, no descriptor of the others stays open. */
export async function makeWires<
  I extends Writable | undefined,
  O extends Readable | undefined,
  E extends Readable | undefined,
>(
  input: () => Promise<Wire<I>>,
  output: () => Promise<Wire<O>>,
  errors: () => Promise<Wire<E>>,
): Promise<readonly [Wire<I>, Wire<O>, Wire<E>]> {
  const made: AnyWire[] = [];
  const keep = <W extends AnyWire>(wire: W): W => {
    made.push(wire);
    return wire;
  };
  try {
    return [keep(await input()), keep(await output()), keep(await errors())];
  } catch (error) {
    closeDescriptors(made);
    destroyStreams(made);
    throw error;
  }
}

/** An open copy would make the reader of a pipe wait for ever. */
export function closeDescriptors(wires: readonly AnyWire[]): void {
  for (const { descriptor, close } of wires) if (close) closeSync(descriptor);
}

export function destroyStreams(wires: readonly AnyWire[]): void {
  for (const { stream } of wires) stream?.destroy();
}

/** A pipe of which this process has one end for a stream; the other one is for the command. */
async function takeFor(pipes: Pipes, end: 'read' | 'write') {
  const pipe = await pipes.take();
  const other = pipe[end === 'read' ? 'write' : 'read'];
  try {
    return { end: await forStream(pipe[end], end === 'read' ? 'r' : 'w'), other };
  } catch (error) {
    closeSync(other);
    throw error;
  }
}

export async function inputPipe(pipes: Pipes): Promise<Wire<Writable>> {
  const { end: write, other: read } = await takeFor(pipes, 'write');
  const stream = new Socket({ fd: write, readable: false, writable: true });
  // A command need not read all that it is given.
  stream.on('error', () => {});
  return { descriptor: read, close: true, stream };
}

export async function outputPipe(pipes: Pipes): Promise<Wire<Readable>> {
  const { end: read, other: write } = await takeFor(pipes, 'read');
  return {
    descriptor: write,
    close: true,
    stream: new Socket({ fd: read, readable: true, writable: false }),
  };
}

/** As outputPipe, and its lines can be read. */
export async function linesPipe(pipes: Pipes): Promise<Wire<Output>> {
  const { end: read, other: write } = await takeFor(pipes, 'read');
  return { descriptor: write, close: true, stream: new Output(read) };
}

type Input = Pick<RunOptions, 'input' | 'stdin'>;

export async function inputWire(pipes: Pipes, { input, stdin }: Input): Promise<Wire<Writable | undefined>> {
  if (input !== undefined || typeof stdin === 'object') return inputPipe(pipes);
  if (stdin === 'inherit') return { descriptor: 0, close: false, stream: undefined };
  return { descriptor: openSync('/dev/null', 'r'), close: true, stream: undefined };
}

export async function outputWire(
  pipes: Pipes,
  to: OutputTo,
  inherited: number,
): Promise<Wire<Readable | undefined>> {
  if (to === 'inherit') {
    openOutputs();
    return { descriptor: inherited, close: false, stream: undefined };
  }
  if (to === 'ignore') return { descriptor: openSync('/dev/null', 'w'), close: true, stream: undefined };
  return outputPipe(pipes);
}

/**
 * Node makes a pipe non-blocking when it first needs the stream, for all that share it, and blocking again for each process that it starts.
 * When it came later, as by a socket that is destroyed, a command that writes much would fail (EAGAIN).
 */
function openOutputs(): void {
  void process.stdout;
  void process.stderr;
}

/** Rejects when the caller's stream fails, not when the command does not read all. */
export async function feed(stream: Writable | undefined, { input, stdin }: Input): Promise<void> {
  if (stream === undefined) return;
  if (input !== undefined) stream.end(input);
  if (typeof stdin !== 'object') return;
  // Streams of readable-stream, which other libraries have, may lack it.
  let failed = Boolean(stdin.errored) || (stdin.destroyed && !stdin.readableEnded);
  const note = () => {
    failed ||= !stream.destroyed && !stdin.readableEnded;
  };
  stdin.once('error', note).once('close', note);
  try {
    await pipeline(stdin, stream);
  } catch (error) {
    if (failed) throw error;
  }
}

/** Gives what is captured. Rejects when the caller's stream fails. `onLimit` is called for more than `limit` bytes. */
export async function receive(
  stream: Readable | undefined,
  to: OutputTo,
  limit: number,
  onLimit: () => void,
): Promise<string | Buffer | undefined> {
  if (stream === undefined) return undefined;
  if (typeof to !== 'string') {
    await pipeline(stream, to, { end: false });
    return undefined;
  }
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of stream) {
      size += chunk.length;
      // Read on: until the command is dead, it must not wait for a reader.
      if (size > limit) onLimit();
      else chunks.push(chunk);
    }
  } catch (error) {
    // Destroyed by destroyStreams.
    if (systemCodeOf(error) !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  }
  const all = Buffer.concat(chunks);
  return to === 'bytes' ? all : all.toString('utf8');
}
