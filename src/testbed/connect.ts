/** A TCP connection from the host to an address that is seen in a testbed. */
import { connect as connectHere, Socket } from 'node:net';
import { ConnectError, messageOf, systemCodeOf, TestbedError } from '../errors.ts';
import { failureText, helperWords, isFailure, parseEvent } from '../helper.ts';
import { firstLine, spawnHost } from '../host.ts';
import type { Log } from '../log.ts';
import type { Target } from './execute.ts';

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

interface ConnectOptions {
  readonly log: Log;
  /** Its abort ends the attempt and later the connection. */
  readonly signal: AbortSignal;
}

function cannotConnect({ address, port }: Endpoint, reason: string, cause?: unknown): ConnectError {
  const place = `${address.includes(':') ? `[${address}]` : address}:${port}`;
  return new ConnectError(`cannot connect to ${place}: ${reason}`, { cause });
}

/** @throws ConnectError, TestbedError, or the reason of the abort */
export function connect(
  target: Pick<Target, 'pid' | 'mark' | 'ownNetwork'>,
  place: Endpoint,
  options: ConnectOptions,
): Promise<Socket> {
  options.signal.throwIfAborted();
  return target.ownNetwork ? connectInside(target, place, options) : connectOnHost(place, options);
}

function connectOnHost(place: Endpoint, { signal }: ConnectOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectHere({ host: place.address, port: place.port });
    const abort = () => void socket.destroy(abortError(signal));
    const fail = (error: unknown) =>
      reject(signal.aborted ? signal.reason : cannotConnect(place, reasonWord(error), error));
    signal.addEventListener('abort', abort, { once: true });
    socket.once('close', () => signal.removeEventListener('abort', abort));
    socket.once('error', fail);
    socket.once('connect', () => {
      socket.off('error', fail);
      resolve(socket);
    });
  });
}

async function connectInside(
  { pid, mark }: Pick<Target, 'pid' | 'mark'>,
  place: Endpoint,
  { log, signal }: ConnectOptions,
): Promise<Socket> {
  const words = helperWords('connect', '-p', String(pid), '-m', mark, place.address, String(place.port));
  const started = await spawnHost(words, log, { stdio: ['ignore', 'pipe', 2, 'pipe'], detached: true });
  const [, , , socket] = started.child.stdio;
  if (!(socket instanceof Socket))
    throw new TypeError('internal: descriptor 3 of the helper is not a socket');
  const abort = () => {
    started.kill('SIGKILL');
    socket.destroy(abortError(signal));
  };
  const ended = started.exited.then(() => signal.removeEventListener('abort', abort));
  signal.addEventListener('abort', abort, { once: true });
  // A helper whose connection is blocked by the testbed ends with the caller's socket.
  socket.once('close', () => started.kill('SIGKILL'));
  const ignore = () => {};
  socket.on('error', ignore);
  const event = parseEvent(await firstLine(started.child.stdout));
  started.child.stdout?.destroy();
  if (event?.event === 'connected' && !signal.aborted) {
    socket.off('error', ignore);
    started.child.unref();
    return socket;
  }
  socket.destroy();
  await ended;
  signal.throwIfAborted();
  if (event === undefined || !isFailure(event)) throw cannotConnect(place, 'its process was killed');
  if (event.code === 'CANNOT_CONNECT') throw cannotConnect(place, String(event.reason ?? event.errno));
  if (event.code === 'CLOSED') throw new TestbedError('the testbed is closed', { code: 'CLOSED' });
  throw new TestbedError(`cannot connect to the testbed: ${failureText(event)}`, { code: event.code });
}

/** For a socket, which needs an Error. */
function abortError({ reason }: AbortSignal): Error {
  return reason instanceof Error ? reason : new Error(messageOf(reason));
}

/** As strerror(3) has it, for the common one. */
function reasonWord(error: unknown): string {
  const code = systemCodeOf(error);
  return code === 'ECONNREFUSED' ? 'Connection refused' : (code ?? messageOf(error));
}
