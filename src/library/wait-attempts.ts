/** One look at what is waited for. */
import type { Socket } from 'node:net';
import { ConnectError, messageOf, systemCodeOf, UsageError, VirtError } from '../errors.ts';
import { printable, shellLine } from '../log.ts';
import { argvOf, checkAddress, checkPort, checkText, notAllowed } from './checks.ts';
import { runToEnd, type StartPlace } from './start.ts';
import type { CommandCondition, HttpCondition, PortCondition } from './wait-types.ts';

export interface Attempt<T> {
  readonly what: string;
  /** @throws TestbedError, UsageError; any error when the signal is aborted */
  attempt(signal: AbortSignal): Promise<{ readonly ready: T } | { readonly seen: string }>;
}

const LOOPBACK = ['127.0.0.1', '::1'];
/** Milliseconds of one request: what does not answer one may answer the next. */
const REQUEST_LIMIT = 5_000;
/** Bytes of a body, and of the output of a command. */
const MOST = 1024 * 1024;

export function portAttempt(place: StartPlace, condition: PortCondition): Attempt<undefined> {
  const port = checkPort(condition.port);
  const addresses = addressesOf(condition.address);
  return {
    what: `port ${port} of the testbed`,
    async attempt(signal) {
      const got = await connectToAny(place, { addresses, port }, signal);
      if ('seen' in got) return got;
      got.ready.destroy();
      return { ready: undefined };
    },
  };
}

export function httpAttempt(
  place: StartPlace,
  { http, path = '/', headers = {}, status = [], body = '', address }: HttpCondition,
): Attempt<{ status: number; body: string }> {
  const port = checkPort(http);
  const addresses = addressesOf(address);
  if (typeof path !== 'string' || !/^\/[\x21-\xff]*$/.test(path)) {
    throw notAllowed('path', path, 'begin it with /, and encode it, as by encodeURI');
  }
  if (typeof body !== 'string' && !(body instanceof RegExp)) {
    throw notAllowed('body', body, 'give a text or a RegExp');
  }
  const wanted: readonly number[] = typeof status === 'number' ? [status] : status;
  if (!Array.isArray(wanted) || !wanted.every((each) => Number.isInteger(each))) {
    throw notAllowed('status', status, 'give a number or a list of numbers');
  }
  const fitsStatus = (got: number) => (wanted.length === 0 ? got >= 200 && got <= 299 : wanted.includes(got));
  const fitsBody = (text: string) =>
    typeof body === 'string' ? text.includes(body) : text.search(body) >= 0;
  return {
    what: `http://${address ?? 'localhost'}:${port}${path} of the testbed`,
    async attempt(signal) {
      const either = AbortSignal.any([signal, AbortSignal.timeout(REQUEST_LIMIT)]);
      try {
        const got = await connectToAny(place, { addresses, port }, either);
        if ('seen' in got) return got;
        const answer = await ask(got.ready, { port, path, headers }, either);
        if (fitsStatus(answer.status) && fitsBody(answer.body)) return { ready: answer };
        return { seen: `it answered with status ${answer.status} and ${shown(answer.body) || 'no body'}` };
      } catch (error) {
        const isOfRequest = either.aborted || systemCodeOf(error) !== undefined;
        if (signal.aborted || error instanceof VirtError || !isOfRequest) throw error;
        const why = either.aborted ? `no answer in ${REQUEST_LIMIT / 1000} s` : printable(messageOf(error));
        return { seen: `the request failed: ${why}` };
      }
    },
  };
}

export function commandAttempt(
  place: StartPlace,
  { command, ...options }: CommandCondition,
): Attempt<unknown> {
  const argv = argvOf(command);
  return {
    what: shellLine(argv),
    async attempt(signal) {
      const result = await runToEnd(place, argv, { ...options, signal, maxOutput: MOST });
      if (result.status === 0) return { ready: result };
      const words = shown(`${result.stdout ?? ''}${result.stderr ?? ''}`);
      return { seen: `its status was ${result.status}, and it wrote ${words || 'nothing'}` };
    },
  };
}

function addressesOf(address: string | undefined): readonly string[] {
  if (address === undefined) return LOOPBACK;
  checkText('address', address);
  return [checkAddress(address)];
}

async function connectToAny(
  { testbed }: StartPlace,
  { addresses, port }: { readonly addresses: readonly string[]; readonly port: number },
  signal: AbortSignal,
): Promise<{ readonly ready: Socket } | { readonly seen: string }> {
  const failures: string[] = [];
  for (const address of addresses) {
    try {
      return { ready: await testbed.connect({ address, port }, signal) };
    } catch (error) {
      if (!(error instanceof ConnectError)) throw error;
      failures.push(error.message);
    }
  }
  return { seen: failures.join(', ') };
}

async function ask(
  socket: Socket,
  { port, path, headers }: { port: number; path: string; headers: Readonly<Record<string, string>> },
  signal: AbortSignal,
): Promise<{ status: number; body: string }> {
  // An abort may come before the request has listeners of its own, and ends the socket by an error.
  socket.on('error', () => {});
  const { request } = await import('node:http');
  return new Promise((resolve, reject) => {
    const options = { host: 'localhost', port, path, headers: { connection: 'close', ...headers }, signal };
    const asking = madeWith(socket, () => request({ ...options, createConnection: () => socket }));
    asking.once('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const done = () => {
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') });
        socket.destroy();
      };
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size > MOST) done();
      });
      response.once('end', done);
      response.once('error', reject);
    });
    asking.on('error', (error) => {
      socket.destroy();
      reject(error);
    });
    asking.end();
  });
}

/** @throws UsageError for headers that HTTP does not allow */
function madeWith<T>(socket: Socket, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    socket.destroy();
    throw new UsageError(`there is no such request: ${messageOf(cause)}`, {
      ...{ code: 'WRONG_VALUE', remedy: 'correct headers', cause },
    });
  }
}

function shown(text: string): string {
  const short = text.trim().slice(-200).replaceAll(/\s+/g, ' ');
  return printable(short);
}
