/** User namespaces with the maps of the stage for programs that nsenter(1) starts: the switch of a laboratory. */
import { writeFileSync } from 'node:fs';
import { type Argv, mustRunHost } from '../host.ts';
import type { Log } from '../log.ts';
import { type IdMaps, mapArguments, mapText } from './idmap.ts';

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
