import { type HostProcess, type Stdio, type StdioList, spawnHost } from '../host.ts';
import type { Log } from '../log.ts';

const ENVIRONMENT = { LC_ALL: 'C', TAR_OPTIONS: '', TAPE: '' };
/** 64 KiB instead of 10: a third of the system calls. */
const RECORDS = ['-b', '128'];
/** The directory it works in is descriptor 3, so that its name does not matter and it cannot be exchanged. */
const THERE = ['-C', '/proc/self/fd/3'];

export function packTree(directory: number, output: Stdio, log: Log): Promise<HostProcess> {
  return start(
    [
      ...['-c', '-f', '-', ...RECORDS, '--format=posix', '--sparse'],
      ...['--pax-option=delete=atime,delete=ctime', '--numeric-owner', '--owner=0', '--group=0'],
      ...['--xattrs', '--xattrs-include=user.*', '--xattrs-include=security.capability', ...THERE, '.'],
    ],
    ['ignore', output, 'pipe', directory],
    log,
  );
}

export function unpackTree(directory: number, log: Log): Promise<HostProcess> {
  return start(
    [
      ...['-x', '-f', '-', ...RECORDS, '--no-same-owner', '--same-permissions', '--keep-old-files'],
      ...[
        '--delay-directory-restore',
        '--warning=no-timestamp',
        '--xattrs',
        '--xattrs-include=user.*',
        ...THERE,
      ],
    ],
    ['pipe', 'ignore', 'pipe', directory],
    log,
  );
}

function start(options: readonly string[], stdio: StdioList, log: Log): Promise<HostProcess> {
  return spawnHost(['tar', ...options], log, { stdio, env: ENVIRONMENT });
}
