/** The leak report of `run`, for a person. */
import type { Log } from '../log.ts';
import type { Leak } from '../testbed/leak.ts';

/** So many lines say enough. */
const MOST = 100;

/** Says each on stderr; nothing when there is none. */
export function tellLeaks(leaks: readonly Leak[], log: Log): void {
  for (const leak of leaks.slice(0, MOST)) {
    const ended = leak.kind === 'process' && leak.ended === true;
    log.warn(`left behind${ended ? ', and ended for holding the output open' : ''}: ${describeLeak(leak)}`);
  }
  if (leaks.length > MOST) log.warn(`left behind: ${leaks.length - MOST} things more`);
}

const IPC = {
  shm: 'shared memory segment',
  sem: 'semaphore set',
  msg: 'message queue',
  mqueue: 'POSIX message queue',
} as const;

/** One leak in one line; its names are safe to print. */
export function describeLeak(leak: Leak): string {
  switch (leak.kind) {
    case 'file':
      return leak.type === 'file'
        ? `file ${leak.path} (uid ${leak.uid}, ${leak.size} bytes)`
        : `${leak.type} ${leak.path} (uid ${leak.uid})`;
    case 'mount':
      return `mount of ${leak.source} (${leak.type}) on ${leak.path}`;
    case 'process':
      return `process ${leak.pid} (uid ${leak.uid}): ${leak.command}`;
    case 'ipc':
      return `${IPC[leak.type]} ${leak.id} (uid ${leak.uid}${leak.type === 'shm' ? `, ${leak.size} bytes` : ''})`;
    case 'interface':
      return `network interface ${leak.name}`;
  }
}
