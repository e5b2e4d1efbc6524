/** Processes that a SIGKILL ends with all that they have started, also when those wait for a FUSE file system. */
import type { HostProcess } from '../host.ts';
import type { Log } from '../log.ts';
import { abortFuse } from '../namespaces/fuse.ts';
import { namespaceOf, signalProcess, treeOf } from '../processes/list.ts';
import { isStuck } from '../processes/stat.ts';

export function wholeTree<T extends HostProcess>(root: T, log: Log): T {
  return killedBy(root, () => endTree(root, log));
}

/**
 * The same for a host process with its own session, also when it fails. `seer` gives a process that sees the testbed's
 * mounts.
 */
export function killable(root: HostProcess, seer: () => number | undefined, log: Log): HostProcess {
  let tree: number[] = [];
  const look = (): readonly number[] | undefined => {
    // The pid of a reaped process may be reused, but not the number of a session that has members.
    tree = treeOf(root.pid).filter((pid) => pid !== root.pid || !isReaped(root));
    return tree.length === 0 ? undefined : tree;
  };
  const seers = (): readonly number[] => {
    const pid = seer();
    return pid !== undefined && tree.some(isStuck) ? [pid] : [];
  };
  // A process that fails may have left a child that still copies.
  return killedBy(root, () => killAll(look, seers, log), { alsoWhenItFails: true });
}

function isReaped({ child }: HostProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** A SIGKILL is replaced by `end`, and the process counts as exited only after that. */
function killedBy<T extends HostProcess>(
  root: T,
  end: () => Promise<void>,
  { alsoWhenItFails = false } = {},
): T {
  let ending: Promise<void> | undefined;
  const finish = async () => {
    // Without a descriptor /proc cannot be read. Then the end of the process ends what is inside, too.
    await end().catch(() => {});
    if (!isReaped(root)) root.kill('SIGKILL');
  };
  return {
    ...root,
    exited: root.exited.then(async (exit) => {
      if (alsoWhenItFails && exit.status !== 0) ending ??= finish();
      await ending;
      return exit;
    }),
    kill: (signal: NodeJS.Signals) => {
      // Another process may have the pid of one that has ended.
      if (signal === 'SIGKILL' && !isReaped(root)) ending ??= finish();
      else root.kill(signal);
    },
  };
}

/** Milliseconds between looks. */
const LOOK = 2;
/** Looks for which the host's part of a command may end by itself. */
const GRACE = 50;
/** Milliseconds before a process that survives SIGKILL is taken to wait for a FUSE file system of the testbed. */
const KILL_LIMIT = 1_000;

/** Kills the processes inside first: their parent reaps them, where an orphan would wait for the host's init. */
async function endTree(root: HostProcess, log: Log): Promise<void> {
  const outside = namespaceOf(process.pid, 'pid');
  let grace = GRACE;
  let inside: number[] = [];
  const look = (): readonly number[] | undefined => {
    const tree = treeOf(root.pid);
    if (tree.length === 0) return undefined;
    inside = tree.filter((pid) => namespaceOf(pid, 'pid') !== outside);
    // It would take those for leaks that are not killed yet when the command's own process is dead.
    if (!isReaped(root)) root.kill(inside.length > 0 ? 'SIGSTOP' : 'SIGCONT');
    grace = inside.length > 0 ? GRACE : grace - 1;
    return grace > 0 ? inside : tree;
  };
  return killAll(look, () => inside.filter(isStuck), log);
}

/** @param seers processes that see the FUSE file systems for which a process may wait */
async function killAll(
  look: () => readonly number[] | undefined,
  seers: () => readonly number[],
  log: Log,
): Promise<void> {
  let limit = performance.now() + KILL_LIMIT;
  for (let victims = look(); victims !== undefined; victims = look()) {
    for (const pid of victims) signalProcess(pid, 'SIGKILL');
    if (performance.now() > limit) {
      await abortFuse(seers(), log);
      limit = performance.now() + KILL_LIMIT;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK));
  }
}
