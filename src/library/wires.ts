/** The three descriptors of a command: the ends that it gets, our ends, and what flows through them. */
import { closeSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { OutputTo, RunOptions } from './command.ts';
import type { Pipes } from './pipes.ts';

/** One of a command's descriptors: its end, and ours, if it is a pipe. */
export interface Wire<Ours extends Readable | Writable | undefined> {
  readonly theirs: number;
  /** Whether `theirs` is to be closed once the command has it. */
  readonly close: boolean;
  readonly ours: Ours;
}

type AnyWire = Wire<Readable | Writable | undefined>;

/** Makes stdin, stdout and stderr. When one fails, no descriptor of the others stays open. */
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
    closeTheirs(made);
    destroyOurs(made);
    throw error;
  }
}

/** Our copies would keep the reader of a pipe waiting for ever. */
export function closeTheirs(wires: readonly AnyWire[]): void {
  for (const { theirs, close } of wires) if (close) closeSync(theirs);
}

export function destroyOurs(wires: readonly AnyWire[]): void {
  for (const { ours } of wires) ours?.destroy();
}

export async function inputPipe(pipes: Pipes): Promise<Wire<Writable>> {
  const { read, write } = await pipes.take();
  const ours = new Socket({ fd: write, readable: false, writable: true });
  // A command need not read all that it is given.
  ours.on('error', () => {});
  return { theirs: read, close: true, ours };
}

export async function outputPipe(pipes: Pipes): Promise<Wire<Readable>> {
  const { read, write } = await pipes.take();
  return { theirs: write, close: true, ours: new Socket({ fd: read, readable: true, writable: false }) };
}

type Input = Pick<RunOptions, 'input' | 'stdin'>;

export async function inputWire(pipes: Pipes, { input, stdin }: Input): Promise<Wire<Writable | undefined>> {
  if (input !== undefined || typeof stdin === 'object') return inputPipe(pipes);
  if (stdin === 'inherit') return { theirs: 0, close: false, ours: undefined };
  return { theirs: openSync('/dev/null', 'r'), close: true, ours: undefined };
}

export async function outputWire(
  pipes: Pipes,
  to: OutputTo,
  inherited: number,
): Promise<Wire<Readable | undefined>> {
  if (to === 'inherit') return { theirs: inherited, close: false, ours: undefined };
  if (to === 'ignore') return { theirs: openSync('/dev/null', 'w'), close: true, ours: undefined };
  return outputPipe(pipes);
}

/** Gives the command its input. Rejects when the caller's stream fails, not when the command does not read all. */
export async function feed(ours: Writable | undefined, { input, stdin }: Input): Promise<void> {
  if (ours === undefined) return;
  if (input !== undefined) ours.end(input);
  if (typeof stdin !== 'object') return;
  let failed = stdin.errored !== null || (stdin.destroyed && !stdin.readableEnded);
  // The pipeline destroys each end when the other one fails: which was first?
  const note = () => {
    failed ||= !ours.destroyed && !stdin.readableEnded;
  };
  stdin.once('error', note).once('close', note);
  try {
    await pipeline(stdin, ours);
  } catch (error) {
    if (failed) throw error;
  }
}

/**
 * Takes an output to where it was wanted, and gives what is captured. Rejects when the caller's stream fails.
 * @param onLimit called when there are more bytes to capture than `limit`
 */
export async function receive(
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
    // Read on: until the command is dead, it must not wait for a reader.
    if (size > limit) onLimit();
    else chunks.push(chunk);
  }
  const all = Buffer.concat(chunks);
  return to === 'bytes' ? all : all.toString('utf8');
}
