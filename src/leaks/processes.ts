import { readFileSync } from 'node:fs';
import { allPids, childrenOf, namespaceOf } from '../processes/list.ts';
import { hasEnded, processState } from '../processes/stat.ts';
import type { ProcessLeak } from './leak.ts';
import { commandText } from './text.ts';

export interface ProcessPlace {
  readonly pid: number;
  readonly mark?: string | undefined;
  readonly insideUser: (uid: number) => number;
  /** logind ends a user's service manager some time after the last session. */
  readonly exceptManagers?: boolean;
}

/** Without pid 1 and the process that reads the lifeline. */
export function processesOf({ pid, mark, insideUser, exceptManagers = false }: ProcessPlace): ProcessLeak[] {
  const namespace = namespaceOf(pid, 'pid');
  // It has ended. Namespaces of other users' processes cannot be read either, and must not count as the same.
  if (namespace === undefined) return [];
  const states = allPids().flatMap((each) => processState(each) ?? []);
  const tree = new Set<number>(
    states
      .filter((each) => each.pid === pid || namespaceOf(each.pid, 'pid') === namespace)
      .map((each) => each.pid),
  );
  // Processes of a pid namespace below are children of children.
  for (let size = 0; size !== tree.size; ) {
    size = tree.size;
    for (const each of states) if (tree.has(each.parent)) tree.add(each.pid);
  }
  const reader = mark === undefined ? undefined : childrenOf(pid).find((child) => slackOf(child) === mark);
  return states
    .filter((each) => each.pid !== pid && each.pid !== reader && tree.has(each.pid) && !hasEnded(each))
    .filter((each) => !exceptManagers || !isManager(each.pid))
    .flatMap((each) => describeProcess(each.pid, insideUser));
}

function isManager(pid: number): boolean {
  try {
    return /\/user@\d+\.service\/init\.scope$/m.test(readFileSync(`/proc/${pid}/cgroup`, 'latin1'));
  } catch {
    return false;
  }
}

function slackOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/timerslack_ns`, 'latin1').trim();
  } catch {
    return '';
  }
}

function describeProcess(pid: number, insideUser: (uid: number) => number): ProcessLeak[] {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    const uid = Number(/^Uid:\s*(\d+)/m.exec(status)?.[1]);
    const inside = Number(/^NSpid:\s*\d+\s+(\d+)/m.exec(status)?.[1]);
    const name = /^Name:\t(.*)$/m.exec(status)?.[1] ?? '';
    const command = commandText(readFileSync(`/proc/${pid}/cmdline`, 'latin1')) || commandText(`[${name}]`);
    return [{ kind: 'process', pid: inside, uid: insideUser(uid), command }];
  } catch {
    return [];
  }
}
