/**
 * Host files as descriptors of a command. A separate process waits for the other end of a FIFO: it can be killed, open(2)
 * cannot.
 */
import { closeSync, constants, fstatSync, open, openSync } from 'node:fs';
import { promisify } from 'node:util';
import { CommandTimeoutError, MisuseError, reasonOf, systemCodeOf } from '../errors.ts';
import { type Argv, spawnHost } from '../host.ts';
import type { Log } from '../log.ts';

export type Stream = 'stdin' | 'stdout' | 'stderr';

/** An open with O_PATH, which Node does not name, never waits. */
const O_PATH = 0o10000000;

/**
 * Opens a file for a command, and creates the one of an output. Waits for the other end of a FIFO until the signal is
 * aborted.
 * @throws MisuseError when it cannot be opened, or is a directory, through which a command could leave the testbed
 * @throws CommandTimeoutError when the signal is aborted
 */
export async function openHostFile(
  stream: Stream,
  path: Buffer,
  { log, signal }: { readonly log: Log; readonly signal: AbortSignal },
): Promise<number> {
  const flags = stream === 'stdin' ? constants.O_RDONLY : constants.O_WRONLY | constants.O_TRUNC;
  let named: number | undefined;
  try {
    named = nameOf(path);
    if (named === undefined && stream !== 'stdin') return openSync(path, flags | constants.O_CREAT, 0o666);
    if (named === undefined) throw Object.assign(new Error('no such file or directory'), { code: 'ENOENT' });
    const stats = fstatSync(named);
    if (stats.isDirectory()) throw Object.assign(new Error('it is a directory'), { code: 'EISDIR' });
    const same = `/proc/self/fd/${named}`;
    return stats.isFIFO() ? await openFifo(stream, named, { log, signal }) : openSync(same, flags);
  } catch (cause) {
    if (cause instanceof CommandTimeoutError) throw cause;
    throw new MisuseError(`cannot open the ${stream} file of command: ${reasonOf(cause)}`, {
      code: 'CANNOT_OPEN',
      remedy: 'name a file that this user may use',
      cause,
    });
  } finally {
    if (named !== undefined) closeSync(named);
  }
}

function nameOf(path: Buffer): number | undefined {
  try {
    return openSync(path, O_PATH);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Opens the file as the command would, reports that, and keeps it open until its stdin is closed. */
const WAIT = {
  stdin: 'exec 4</proc/self/fd/3; echo; read -r _',
  stdout: 'exec 4>/proc/self/fd/3; echo; read -r _',
  stderr: 'exec 4>/proc/self/fd/3; echo; read -r _',
} as const;

async function openFifo(
  stream: Stream,
  named: number,
  { log, signal }: { readonly log: Log; readonly signal: AbortSignal },
): Promise<number> {
  if (signal.aborted) throw notOpened(stream);
  // It ends with this process: while it waits it does not read its stdin.
  const argv: Argv = ['setpriv', '--pdeathsig=KILL', '--', '/bin/sh', '-c', WAIT[stream]];
  const waiter = await spawnHost(argv, log, { stdio: ['pipe', 'pipe', 2, named] });
  const end = () => waiter.kill('SIGKILL');
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  try {
    const opened = await new Promise<boolean>((resolve) => {
      waiter.child.stdout?.once('data', () => resolve(true)).once('close', () => resolve(false));
    });
    if (signal.aborted) throw notOpened(stream);
    if (!opened) throw new Error(`the FIFO cannot be opened`);
    return await openOneEnd(
      `/proc/self/fd/${named}`,
      stream === 'stdin' ? constants.O_RDONLY : constants.O_WRONLY,
    );
  } finally {
    signal.removeEventListener('abort', end);
    end();
    await waiter.exited;
  }
}

function notOpened(stream: Stream): CommandTimeoutError {
  return new CommandTimeoutError(`no process has opened the other end of the FIFO for ${stream} of command`);
}

/** A second end for a moment lets the open succeed even when the other process is gone. */
async function openOneEnd(path: string, flags: number): Promise<number> {
  let both: number;
  try {
    both = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    if (systemCodeOf(error) !== 'EACCES') throw error;
    return promisify(open)(path, flags);
  }
  try {
    return openSync(path, flags);
  } finally {
    closeSync(both);
  }
}
