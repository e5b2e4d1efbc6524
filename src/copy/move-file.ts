/**
 * The content of one file, between the host and a testbed. A shell in the testbed opens the file there. The helper, with no
 * more rights than root of the testbed, opens it through that shell's /proc entry and copies. So no process in the testbed
 * holds a file of the host.
 */
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { CopyError } from '../errors.ts';
import { failureText, type HelperFailure, isFailure, parseEvent } from '../helper.ts';
import type { StdioList } from '../host.ts';
import { roomRemedy } from '../namespaces/failures.ts';
import { scarceRemedy } from '../scarce.ts';
import { within } from '../wait.ts';
import { type End, type Ends, mustEnd, mustHaveRun } from './ends.ts';
import { isDirectory, namesDirectory, noDirectory, notRegular } from './failures.ts';
import type { OpenFile } from './open-file.ts';
import type { CopyTestbed, MoverWay } from './types.ts';

/** Descriptor 3 is the socket of copy-in-file.sh or copy-out-file.sh. */
export const OPENER_STDIO = ['ignore', 'ignore', 'pipe', 'pipe'] as const;

interface Move {
  readonly opener: End;
  readonly way: MoverWay;
  readonly file: OpenFile;
  readonly opened?: (sent: number) => void;
}

/** What the script sends when it has opened the file, or else why it failed. */
export const EXECUTABLE = 'x'.charCodeAt(0);
const DIRECTORY = 'd'.charCodeAt(0);
const NOT_REGULAR = 'n'.charCodeAt(0);
const NO_DIRECTORY = 'm'.charCodeAt(0);

/** Milliseconds for a testbed to report that it is broken, once a copy has failed. */
const LAST_WORDS = 500;
const OPENING = 'opening the file in the testbed';

function closed(): CopyError {
  return new CopyError('the testbed closed the file before it was copied', { code: 'FILE_CLOSED' });
}

export async function moveFile(testbed: CopyTestbed, ends: Ends, move: Move): Promise<number> {
  const { opener, way, file } = move;
  const again = file.again ?? 'ignore';
  const stdio: StdioList =
    way[0] === 'in'
      ? [file.file, 'ignore', 'pipe', 'pipe', again]
      : ['ignore', file.file, 'pipe', 'pipe', again];
  const talk = socketOf(opener);
  // Listened to at once: when a process ends, Node drops what it has written and nothing has read.
  const byte = firstByte(talk);
  const mover = ends.add(await testbed.startMover(way, stdio), 'host');
  // The same holds for one that fails before it has its orders.
  const orders = socketOf(mover);
  let begun: number | undefined;
  const outcome = listen(orders, {
    opened: () => move.opened?.(begun ?? 0),
    halved: (at) => file.halved(at),
  });
  outcome.catch(() => {});
  const sent = await Promise.race([byte, opener.process.exited.then(() => undefined)]);
  if (sent === DIRECTORY) throw way[0] === 'in' ? namesDirectory() : isDirectory();
  if (sent === NO_DIRECTORY) throw noDirectory();
  if (sent === NOT_REGULAR) throw notRegular();
  const pid = sent === undefined ? undefined : testbed.pidInside(opener.process);
  if (sent === undefined || pid === undefined) {
    talk.destroy();
    await mustEnd(opener, OPENING);
    throw new CopyError('the testbed did not open the file', { code: 'FILE_CLOSED' });
  }
  begun = sent;
  orders.write(`${pid} ${testbed.pid}\n`);
  const gone = opener.process.exited.then(async () => {
    await mustEnd(opener, OPENING);
    throw closed();
  });
  const result = await Promise.race([outcome, gone]);
  if (typeof result !== 'number') {
    talk.destroy();
    if (await within(opener.process.exited, LAST_WORDS)) await mustHaveRun(opener);
    if (result !== undefined) throw failureOf(result, way[0]);
  }
  await mustEnd(mover, 'copying');
  if (typeof result !== 'number')
    throw new CopyError('the process that copies ended without a result', { code: 'HELPER_ENDED' });
  talk.end('\n', () => talk.destroy());
  await mustEnd(opener, OPENING);
  return result;
}

interface Listener {
  readonly opened: () => void;
  readonly halved: (at: number) => void;
}

function listen(orders: Socket, { opened, halved }: Listener): Promise<number | HelperFailure | undefined> {
  return new Promise((resolve, reject) => {
    let outcome: number | HelperFailure | undefined;
    const lines = createInterface({ input: orders });
    lines.on('error', () => {});
    lines.on('line', (line) => {
      const event = parseEvent(line);
      if (event === undefined) return;
      if (event.event === 'half') halved(Number(event.at));
      else if (event.event === 'copied') outcome ??= Number(event.bytes);
      else if (isFailure(event)) outcome ??= event;
      else if (event.event === 'opened') {
        try {
          opened();
          orders.end('\n');
        } catch (error) {
          reject(error);
        }
      }
    });
    orders.once('close', () => resolve(outcome));
  });
}

function failureOf(failure: HelperFailure, way: MoverWay[0]): CopyError {
  const { code } = failure;
  const errno = typeof failure.errno === 'string' ? failure.errno : undefined;
  switch (code) {
    case 'FILE_CLOSED':
      return closed();
    case 'NOT_A_FILE':
      return notRegular();
    case 'SAME_FILE':
      return new CopyError('source and destination are the same file', { code });
    case 'SHORTER':
      return new CopyError('the file became shorter while it was copied', { code });
    default:
      return new CopyError(failureText(failure), {
        code,
        remedy: errno === 'ENOSPC' && way === 'in' ? roomRemedy() : scarceRemedy(errno),
      });
  }
}

function socketOf(end: End): Socket {
  const [, , , socket] = end.process.child.stdio;
  if (!(socket instanceof Socket)) throw new CopyError('internal: a socket is missing', { code: 'INTERNAL' });
  return socket;
}

function firstByte(socket: Socket): Promise<number | undefined> {
  return new Promise((resolve) => {
    socket.once('data', (chunk: Buffer) => {
      socket.pause();
      resolve(chunk[0]);
    });
    socket.once('close', () => resolve(undefined));
  });
}
