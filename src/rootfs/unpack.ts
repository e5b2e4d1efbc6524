/** Unpacks a tarball by GNU tar as root of the holder. */
import { readFileSync, readSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname } from 'node:path';
import { TestbedError } from '../errors.ts';
import { type Argv, spawnHost, textOf, toolFailed } from '../host.ts';
import { type Log, printable } from '../log.ts';
import { scarceRemedy } from '../scarce.ts';
import { cacheFullRemedy } from './cache-failure.ts';
import { chooseDecompressor, compressionOf, HEADER_SIZE } from './compression.ts';

export interface Inside {
  readonly idMap: { readonly key: string; readonly single: boolean };
  inside(hostPath: string): string;
  enter(argv: Argv): Argv;
}

interface UnpackOptions {
  readonly tarball: string;
  readonly fd: number;
  readonly decompressor: string | undefined;
  readonly tree: string;
  readonly lock: number;
  readonly signal?: AbortSignal | undefined;
}

export interface Unpacked {
  readonly skipped: readonly string[];
  readonly size: number;
}

/** @throws TestbedError with tar's message. An abort kills tar and leaves a partial tree. */
export async function unpack(holder: Inside, log: Log, options: UnpackOptions): Promise<Unpacked> {
  const { tarball, fd, tree, lock, signal } = options;
  const root = `${holder.inside(tree)}/root`;
  await mustRun(holder.enter(['mkdir', '-m', '755', root]), log, `making a directory in ${tree}`);
  const argv = holder.enter(tarArgv(root, options.decompressor, holder.idMap.single));
  const tar = await spawnHost(argv, log, {
    stdio: [fd, 'ignore', 'pipe', lock],
    env: { LC_ALL: 'C' },
    cwd: '/',
  });
  const stop = () => tar.kill('SIGKILL');
  if (signal?.aborted === true) stop();
  signal?.addEventListener('abort', stop, { once: true });
  const [{ status }, words] = await Promise.all([tar.exited, textOf(tar.child.stderr)]);
  signal?.removeEventListener('abort', stop);
  signal?.throwIfAborted();
  const complaints = readComplaints(printable(words));
  // 2: something failed, but everything else was done (tar's manual, "Possible exit codes").
  const onlyNodes = status === 2 && complaints.errors.length === 0 && complaints.skipped.length > 0;
  if (status !== 0 && !onlyNodes) throw unpackingFailed(tarball, tree, complaints.errors, status);
  return { skipped: complaints.skipped, size: complaints.size };
}

function unpackingFailed(
  tarball: string,
  tree: string,
  errors: readonly string[],
  status: number,
): TestbedError {
  // A full disk also ends the decompressor, whose message may come first.
  const full = errors
    .find((line) => /No space left|Disk quota exceeded|Wrote only \d+ of/.test(line))
    ?.replace(/Wrote only \d+ of \d+ bytes/, '$&: No space left on device, or the quota is used up');
  // A hard link to a file that is not in the archive is an error of the archive.
  const gone = errors.find((line) => /: Cannot (?!hard link).*: No such file or directory$/.test(line));
  const limited =
    status === 128 + constants.signals.SIGXFSZ
      ? 'File too large'
      : errors.find((line) => line.endsWith('File too large'));
  const why = limited ?? full ?? errors[0] ?? `tar ended with status ${status}`;
  const facts =
    limited !== undefined
      ? { code: 'EFBIG', remedy: scarceRemedy('EFBIG') }
      : full !== undefined
        ? { code: 'CACHE_FULL', remedy: cacheFullRemedy(dirname(dirname(tree))) }
        : gone !== undefined
          ? { code: 'CACHE_DELETED', remedy: `do not delete ${tree} while it is written` }
          : { code: 'BAD_TARBALL', remedy: 'make the tarball again' };
  return new TestbedError(`unpacking ${tarball} failed: ${why}`, facts);
}

/** `single`: there is only one id, so owners cannot be kept. */
export function tarArgv(root: string, decompressor: string | undefined, single: boolean): Argv {
  return [
    'tar',
    '--extract',
    '--totals',
    single ? '--no-same-owner' : '--same-owner',
    '--preserve-permissions',
    // Files need not follow their directory, whose time would change.
    '--delay-directory-restore',
    ...commonArguments(root, decompressor),
  ];
}

export function compareArgv(root: string, decompressor: string | undefined): Argv {
  return ['tar', '--compare', ...commonArguments(root, decompressor)];
}

function commonArguments(root: string, decompressor: string | undefined): string[] {
  return [
    '--file=-',
    ...(decompressor === undefined ? [] : [`--use-compress-program=${decompressor}`]),
    `--directory=${root}`,
    '--numeric-owner',
    '--xattrs',
    '--xattrs-include=*',
    // They would change the testbed's overlay.
    '--xattrs-exclude=user.overlay.*',
    '--quoting-style=escape',
    '--warning=no-timestamp',
    '--anchored',
    // A user namespace cannot make device nodes; the testbed gets its own /dev.
    ...['./dev/*', 'dev/*', '/dev/*'].map((pattern) => `--exclude=${pattern}`),
  ];
}

export function readComplaints(words: string): { skipped: string[]; errors: string[]; size: number } {
  const skipped: string[] = [];
  const errors: string[] = [];
  let size = 0;
  for (const line of words.split('\n')) {
    const total = /^Total bytes read: (\d+)/.exec(line)?.[1];
    const node = /^tar: (.*): Cannot mknod: Operation not permitted$/.exec(line)?.[1];
    if (total !== undefined) size = Number(total);
    else if (node !== undefined) skipped.push(node);
    else if (line !== '' && !isRemark(line) && !/^tar: .*: Warning: /.test(line)) errors.push(line);
  }
  return { skipped, errors, size };
}

/** Of GNU tar: what does not change its exit status, such as of a keyword that another tar has written; and its last line. */
export function isRemark(line: string): boolean {
  return /^tar: (Exiting with failure status|Removing leading |Ignoring unknown extended header keyword |A lone zero block at )/.test(
    line,
  );
}

export function decompressorOf(tarball: string, fd: number): string | undefined {
  const header = Buffer.alloc(HEADER_SIZE);
  const compression = compressionOf(header.subarray(0, readSync(fd, header, 0, HEADER_SIZE, 0)));
  if (compression === undefined) {
    throw new TestbedError(`${tarball} is not a tarball`, {
      code: 'BAD_TARBALL',
      remedy: 'make one with mmdebstrap',
    });
  }
  const choice = chooseDecompressor(compression);
  if (!choice.found) {
    throw new TestbedError(`unpacking ${tarball} needs ${choice.program}`, {
      code: 'NO_PROGRAM',
      remedy: `install the package ${choice.package}`,
    });
  }
  return choice.command;
}

export async function deleteTree(holder: Inside, log: Log, tree: string): Promise<void> {
  const argv = holder.enter(['rm', '-rf', '--', `${holder.inside(tree)}/root`]);
  await mustRun(argv, log, `deleting ${tree}`);
}

export async function mustRun(argv: Argv, log: Log, what: string): Promise<void> {
  const child = await spawnHost(argv, log, { stdio: ['ignore', 'ignore', 'pipe'], cwd: '/' });
  const [{ status }, words] = await Promise.all([child.exited, textOf(child.child.stderr)]);
  if (status === 0) return;
  throw toolFailed(what, { words, status });
}

export function readSoFar(fd: number, size: number): number | undefined {
  try {
    const position = /^pos:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
    return position === undefined || size === 0 ? undefined : Number(position) / size;
  } catch {
    return undefined;
  }
}
