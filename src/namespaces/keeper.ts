/** User namespaces with the stage's id maps for what runs by nsenter(1): the switch of a laboratory, `run --host --root`. */
import { writeFileSync } from 'node:fs';
import { messageOf, TestbedError } from '../errors.ts';
import { type Argv, type HostProcess, mustRunHost, spawnHost, textOf } from '../host.ts';
import type { Log } from '../log.ts';
import { type IdMaps, mapArguments, mapText } from './idmap.ts';
import { firstLine } from './lifeline.ts';

/**
 * nsenter gives up supplementary groups when it enters, which a map of one id, written without help, forbids, also to those
 * who are root in there and make namespaces below it.
 */
export function userOptions(idMap: IdMaps): readonly string[] {
  return idMap.single ? ['-U', '--preserve-credentials'] : ['-U'];
}

/**
 * The beginning of an argv for a process that is to be root of a stage's user namespace, up to unshare's further options.
 * @param below host pid of a process that is in it already. Default: a new one, whose maps are written by `writeMaps`
 *   before the process does anything that needs them
 */
export function newStage(idMap: IdMaps, below?: number): Argv {
  if (idMap.stage === 'none') return ['unshare'];
  if (below !== undefined) return ['nsenter', '-t', String(below), ...userOptions(idMap), '--', 'unshare'];
  // --keep-caps: execve(2) as a user without a map would lose all capabilities, but not the ambient ones.
  return ['unshare', '--user', '--keep-caps'];
}

/**
 * A process in a fresh user namespace with the stage's maps, there to be entered: an execve(2) after unshare(2)
 * but before the maps are written loses all capabilities, an nsenter afterwards has them.
 */
export async function startKeeper(idMap: IdMaps, log: Log): Promise<HostProcess> {
  const keeper = await spawnHost(['unshare', '--user', 'sh', '-c', 'echo up; exec cat'], log, {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const complaints = textOf(keeper.child.stderr);
  try {
    if ((await firstLine(keeper.child.stdout)) !== 'up') throw new TestbedError((await complaints).trim());
    await writeMaps(idMap, keeper.pid, log);
    return keeper;
  } catch (error) {
    keeper.kill('SIGKILL');
    throw new TestbedError(
      `making a user namespace failed: ${messageOf(error)}; virt-ts-unshare doctor says what this machine lacks`,
      {
        cause: error,
      },
    );
  }
}

/** The stage's own maps, which only somebody in its parent user namespace may write. */
export async function writeMaps(idMap: IdMaps, pid: number, log: Log): Promise<void> {
  if (idMap.stage === 'none') return;
  if (idMap.stage === 'self') {
    // Without CAP_SETGID in the parent a gid_map may only be written after setgroups(2) is given up.
    writeFileSync(`/proc/${pid}/setgroups`, 'deny');
    writeFileSync(`/proc/${pid}/uid_map`, mapText(idMap.stageUsers));
    writeFileSync(`/proc/${pid}/gid_map`, mapText(idMap.stageGroups));
    return;
  }
  const write = (tool: string, extents: IdMaps['users']) =>
    mustRunHost([tool, String(pid), ...mapArguments(extents)], log, 'writing an id map');
  await Promise.all([write('newuidmap', idMap.stageUsers), write('newgidmap', idMap.stageGroups)]);
}
