/** Ends a command that builds a root filesystem, with all that it has started. */
import type { HostProcess } from '../host.ts';
import { allPids, signalProcess } from '../processes/list.ts';
import { hasEnded, type ProcessState, processState } from '../processes/stat.ts';
import { aborted, waitUntil, within } from '../wait.ts';

/** Milliseconds in which the command may remove what it has made: mmdebstrap deletes a whole tree. */
export const GRACE = 30_000;
/** Milliseconds until a process that got SIGKILL is gone; only one that waits for a disk takes longer. */
const KILL_LIMIT = 10_000;

const hurry = new AbortController();

/** Ends the grace of the commands that are being ended in this process, now or later: a person does not wait for them. */
export function hurryEnds(): void {
  hurry.abort();
}

/** @param child the leader of a session. @param grace milliseconds until SIGKILL */
export async function endBuild(child: HostProcess, grace: number): Promise<void> {
  const leader = processState(child.pid);
  signalGroup(child, 'SIGTERM');
  const hurried = aborted(hurry.signal);
  await within(Promise.race([child.exited, hurried]), grace);
  signalGroup(child, 'SIGKILL');
  await child.exited;
  await waitUntil(() => {
    const rest = membersOf(child.pid, leader);
    for (const { pid, startTime } of rest) signalProcess({ pid, startTime }, 'SIGKILL');
    return rest.length === 0;
  }, KILL_LIMIT);
}

function signalGroup({ pid, child }: HostProcess, signal: 'SIGTERM' | 'SIGKILL'): void {
  // A reaped process group's number may be reused.
  if (child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-pid, signal);
  } catch {
    child.kill(signal);
  }
}

/** Of the session whose leader has ended. The kernel gives its number to no other process while it has members. */
function membersOf(session: number, leader: ProcessState | undefined): ProcessState[] {
  const there = processState(session);
  if (there !== undefined && there.startTime !== leader?.startTime) return [];
  return allPids()
    .flatMap((pid) => processState(pid) ?? [])
    .filter((state) => state.session === session && !hasEnded(state));
}
