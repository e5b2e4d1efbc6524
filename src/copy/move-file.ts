/**
 * The content of one file, between the host and a testbed. The testbed's own shell opens the file there, and waits. A program
 * of the host that has no more rights than the testbed's root opens what that shell has open, and copies: so nothing in the
 * testbed ever holds a file of the host, and no byte passes through us or through a pipe.
 */
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { CopyError, messageOf } from '../errors.ts';
import type { StdioList } from '../host.ts';
import { within } from '../wait.ts';
import { type End, type Ends, mustEnd, mustHaveRun } from './ends.ts';
import type { OpenFile } from './open-file.ts';
import type { CopyTestbed } from './types.ts';

/** For what opens the file in the testbed: descriptor 3 is its socket. */
export const OPENER_STDIO = ['ignore', 'ignore', 'pipe', 'pipe'] as const;

export interface Move {
  /** Opens the file in the testbed: copy-in-file.sh or copy-out-file.sh. To be started first, for it takes some time. */
  readonly opener: End;
  /** Arguments of on-host/move-file.c and move-file.sh. */
  readonly way: readonly ['in'] | readonly ['out', string];
  /** The file on the host: read on the way in, written on the way out. */
  readonly file: OpenFile;
  /** Is given the byte that the script has said, before anything is copied out. */
  readonly opened?: (said: number) => void;
}

/** Milliseconds for a testbed to say that it is broken, once a copy has failed. */
const LAST_WORDS = 500;
const OPENING = 'opening the file in the testbed';

/**
 * Copies, and gives the number of bytes.
 * @throws CopyError with the reason
 * @throws TestbedError when the testbed could not run its part
 */
export async function moveFile(testbed: CopyTestbed, ends: Ends, move: Move): Promise<number> {
  const { opener, way, file } = move;
  const stdio: StdioList =
    way[0] === 'in'
      ? [file.file, 'ignore', 'pipe', 'pipe', file.again ?? 'ignore']
      : ['ignore', file.file, 'pipe', 'pipe', file.again ?? 'ignore'];
  const mover = ends.add(await testbed.startMover(way, stdio), 'host');
  const talk = socketOf(opener);
  const said = await Promise.race([firstByte(talk), opener.process.exited.then(() => undefined)]);
  const pid = said === undefined ? undefined : testbed.pidInside(opener.process);
  if (said === undefined || pid === undefined) {
    talk.destroy();
    await mustEnd(opener, OPENING);
    throw new CopyError('the testbed did not open the file');
  }
  const order = socketOf(mover);
  const allTold = new Promise((resolve) => order.once('close', resolve));
  const cannotBegin = new Promise<never>((_, reject) => {
    const lines = createInterface({ input: order });
    // It tells the errors of its input anew: who was killed tells more by its status.
    lines.on('error', () => {});
    lines.on('line', (line) => {
      if (line !== 'opened') {
        file.halved(Number(line));
        return;
      }
      try {
        move.opened?.(said);
        order.end('\n');
      } catch (error) {
        reject(error);
      }
    });
  });
  order.write(`${pid} ${testbed.pid}\n`);
  const bytes = await Promise.race([moved(mover, opener, talk, way[0]), cannotBegin]);
  await allTold;
  // Nobody can say what the bytes between are now.
  if (file.isTorn) throw new CopyError('it became shorter while it was copied');
  talk.end('\n', () => talk.destroy());
  await mustEnd(opener, OPENING);
  return file.isHalved ? file.copied : bytes;
}

/** Waits for the program that copies. */
async function moved(mover: End, opener: End, talk: Socket, way: 'in' | 'out'): Promise<number> {
  const isClosed = await Promise.race([
    mover.process.exited.then(() => false),
    opener.process.exited.then(() => true),
  ]);
  if (isClosed) {
    await mustEnd(opener, OPENING);
    throw new CopyError('the testbed closed the file before it was copied');
  }
  try {
    const words = await mustEnd(mover, 'copying');
    const parts = [...words.matchAll(/(?:^|; )(\d+) bytes? /g)];
    if (parts.length === 0) throw new CopyError(`nobody said how much was copied: ${words}`);
    return parts.reduce((sum, [, bytes]) => sum + Number(bytes), 0);
  } catch (error) {
    // Worth more than what followed from it.
    talk.destroy();
    if (await within(opener.process.exited, LAST_WORDS)) await mustHaveRun(opener);
    throw new CopyError(reasonOfMover(messageOf(error), way), { cause: error });
  }
}

/** What move-file.c or dd complained of, in terms of who has the file. Of two, one may have fallen into the other's word. */
function reasonOfMover(words: string, way: 'in' | 'out'): string {
  const [, act, reason] = /error (reading|writing).*?: ([^;]+)/.exec(words) ?? [];
  if (act === undefined || reason === undefined) {
    const complaints = words.split('; ').filter((line) => !/^\d+(\+\d+ records| bytes?) /.test(line));
    return complaints.join('; ') || 'it was broken off';
  }
  return `${act} ${(act === 'reading') === (way === 'in') ? 'on the host' : 'in the testbed'} failed: ${reason}`;
}

/** Descriptor 3. */
function socketOf(end: End): Socket {
  const [, , , socket] = end.process.child.stdio;
  if (!(socket instanceof Socket)) throw new CopyError('a pipe is missing');
  return socket;
}

/** What somebody says; no more is read than the first of it. Undefined when it is nothing. */
function firstByte(socket: Socket): Promise<number | undefined> {
  return new Promise((resolve) => {
    socket.once('data', (chunk: Buffer) => {
      socket.pause();
      resolve(chunk[0]);
    });
    socket.once('close', () => resolve(undefined));
  });
}
