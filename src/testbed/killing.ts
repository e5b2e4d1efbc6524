/** Processes that a SIGKILL from here ends with all that they have started, also when those wait for a FUSE file system. */
import type { HostProcess } from '../host.ts';
import type { Log } from '../log.ts';
import { abortFuse } from '../namespaces/fuse.ts';
import { namespaceOf, signalProcess, treeOf } from '../processes/list.ts';
import { isStuck } from '../processes/stat.ts';

/** The same process of a command, but a SIGKILL ends all that it started, and it counts as exited only then. */
export function wholeTree<T extends HostProcess>(root: T, log: Log): T {
  return killedBy(root, () => endTree(root, log));
}

/**
 * The same process of the host, which may use files of a testbed: a SIGKILL ends it and all that it started, and so does a
 * status other than 0. It has to have a session of its own.
 * @param seer gives a process that sees what is mounted in the testbed, or nothing when that is gone
 */
export function killable(root: HostProcess, seer: () => number | undefined, log: Log): HostProcess {
  const { child } = root;
  const isReaped = (): boolean => child.exitCode !== null || child.signalCode !== null;
  let tree: number[] = [];
  const look = (): readonly number[] | undefined => {
    // Once it is reaped its pid may be another's, but not the session's as long as somebody is in that.
    tree = treeOf(root.pid).filter((pid) => pid !== root.pid || !isReaped());
    return tree.length === 0 ? undefined : tree;
  };
  const seers = (): readonly number[] => {
    const pid = seer();
    return pid !== undefined && tree.some(isStuck) ? [pid] : [];
  };
  // Who fails may have left somebody who copies on.
  return killedBy(root, () => killAll(look, seers, log), { alsoWhenItFails: true });
}

/** The same process, but a SIGKILL is what `end` does, and the process counts as exited only when that is done. */
function killedBy<T extends HostProcess>(
  root: T,
  end: () => Promise<void>,
  { alsoWhenItFails = false } = {},
): T {
  let ending: Promise<void> | undefined;
  return {
    ...root,
    exited: root.exited.then(async (exit) => {
      if (alsoWhenItFails && exit.status !== 0) ending ??= end();
      await ending;
      return exit;
    }),
    kill: (signal: NodeJS.Signals) => {
      if (signal === 'SIGKILL') ending ??= end();
      else root.kill(signal);
    },
  };
}

/** Milliseconds between looks at who is still there. */
const LOOK = 2;
/** Looks for which the host's part of a command may end by itself. */
const GRACE = 50;
/** Milliseconds before whoever is still there after a SIGKILL is taken to wait for a FUSE file system of the testbed's. */
const KILL_LIMIT = 1_000;

/**
 * Kills a command's process tree. What is inside goes first: what entered for it then reaps it and ends, where an orphan would
 * have to wait for the host's init to reap it.
 */
function endTree(root: HostProcess, log: Log): Promise<void> {
  const outside = namespaceOf(process.pid, 'pid');
  let grace = GRACE;
  let inside: number[] = [];
  const look = (): readonly number[] | undefined => {
    const tree = treeOf(root.pid);
    if (tree.length === 0) return undefined;
    inside = tree.filter((pid) => namespaceOf(pid, 'pid') !== outside);
    grace = inside.length > 0 ? GRACE : grace - 1;
    return grace > 0 ? inside : tree;
  };
  return killAll(look, () => inside.filter(isStuck), log);
}

/**
 * Kills whom `look` finds, again and again, also what forks meanwhile, until it finds nobody any more and gives nothing.
 * @param seers processes that see the FUSE file systems for which those who do not end may wait
 */
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
