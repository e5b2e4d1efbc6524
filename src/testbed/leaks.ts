/**
 * What a test left behind in a testbed: files for temporary use, mounts, processes, IPC objects, network interfaces. All is
 * read on the host, with the host's tools: nothing of it is the testbed's own word, and no tool has to be in the testbed.
 */
import { readFileSync } from 'node:fs';
import { mustRunHost } from '../host.ts';
import type { Log } from '../log.ts';
import type { Holder } from '../namespaces/holder.ts';
import { type IdMaps, insideUser } from '../namespaces/idmap.ts';
import { userOptions } from '../namespaces/keeper.ts';
import { allPids, namespaceOf } from '../processes/list.ts';
import { processState } from '../processes/stat.ts';
import { scriptText } from '../scripts.ts';
import type { Baseline } from './baseline.ts';
import type { Leak } from './leak.ts';
import {
  commandText,
  type FileEntry,
  newInterfaces,
  newMounts,
  parseListing,
  printable,
} from './leak-text.ts';

export type { Leak } from './leak.ts';

export interface Inspection {
  readonly holder: Holder;
  /** Host pid of pid 1. */
  readonly pid: number;
  /** Folders in the holder that the root file system was made of, the topmost first. */
  readonly layers: readonly string[];
  /** A folder inside whose content is nobody's leak. */
  readonly scratchDirectory: string;
  readonly baseline: Baseline;
}

/**
 * All that is there and was not right after the testbed was made.
 * @throws TestbedError when the testbed has died
 */
export async function findLeaks(inspection: Inspection, log: Log): Promise<Leak[]> {
  const { holder, pid, layers, scratchDirectory, baseline } = inspection;
  const text = await mustRunHost(
    [
      // A testbed can have more files than anybody has time for.
      ...(['timeout', '-s', 'KILL', '30'] as const),
      ...['nsenter', '-t', String(holder.pid), ...userOptions(holder.idMap), '-m'],
      ...[`--ipc=/proc/${pid}/ns/ipc`, '--', 'unshare', '--mount', '--'],
      ...['sh', '-c', scriptText('on-host', 'leaks.sh'), 'leaks', String(pid), ...layers],
    ],
    log,
    'looking for what was left in the testbed',
    { encoding: 'latin1' },
  );
  const { files, reader, ipc } = parseListing(text);
  return [
    ...newFiles(files, `/proc/${pid}/root`, layers, scratchDirectory),
    ...newMounts(baseline.mounts, readFileSync(`/proc/${pid}/mountinfo`, 'latin1')),
    ...processesOf(pid, reader, holder.idMap),
    ...ipc,
    ...(baseline.interfaces === undefined
      ? []
      : newInterfaces(baseline.interfaces, readFileSync(`/proc/${pid}/net/dev`, 'latin1'))),
  ];
}

/** The entries of the testbed that no layer has in the same way, and that are not ours. */
function newFiles(
  entries: readonly FileEntry[],
  root: string,
  layers: readonly string[],
  scratchDirectory: string,
): Leak[] {
  const before = new Map<string, FileEntry>();
  // The topmost layer last, so that it wins.
  for (const layer of [...layers].reverse()) {
    for (const entry of entries) {
      if (entry.path.startsWith(`${layer}/`)) before.set(entry.path.slice(layer.length), entry);
    }
  }
  return entries.flatMap((entry): Leak[] => {
    if (!entry.path.startsWith(`${root}/`)) return [];
    const path = entry.path.slice(root.length);
    if (path === scratchDirectory || path.startsWith(`${scratchDirectory}/`)) return [];
    if (OURS.has(path) && entry.type === 'directory') return [];
    const old = before.get(path);
    const same =
      old !== undefined &&
      old.type === entry.type &&
      (old.type === 'directory' || (old.size === entry.size && old.modified === entry.modified));
    if (same) return [];
    const { type, uid, gid, size } = entry;
    return [{ kind: 'file', path: printable(Buffer.from(path, 'latin1')), type, uid, gid, size }];
  });
}

/** The folders themselves, and what mounts.ts makes in them. */
const OURS = new Set(['/tmp', '/var/tmp', '/run', '/run/lock', '/dev/shm']);

/** The processes of a testbed but its pid 1 and the reader of the lifeline. */
function processesOf(pid: number, reader: number, idMap: IdMaps): Leak[] {
  const namespace = namespaceOf(pid, 'pid');
  const states = allPids().flatMap((each) => processState(each) ?? []);
  const tree = new Set<number>(
    states
      .filter((each) => each.pid === pid || namespaceOf(each.pid, 'pid') === namespace)
      .map((each) => each.pid),
  );
  // Those in a pid namespace below it are children of children.
  for (let size = 0; size !== tree.size; ) {
    size = tree.size;
    for (const each of states) if (tree.has(each.parent)) tree.add(each.pid);
  }
  return states
    .filter((each) => each.pid !== pid && each.pid !== reader && tree.has(each.pid) && each.state !== 'Z')
    .flatMap((each) => describeProcess(each.pid, idMap));
}

function describeProcess(pid: number, idMap: IdMaps): Leak[] {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    const uid = Number(/^Uid:\s*(\d+)/m.exec(status)?.[1]);
    // As the host counts, then as each pid namespace below does.
    const inside = Number(/^NSpid:\s*\d+\s+(\d+)/m.exec(status)?.[1]);
    const name = /^Name:\t(.*)$/m.exec(status)?.[1] ?? '';
    const command = commandText(readFileSync(`/proc/${pid}/cmdline`, 'latin1')) || commandText(`[${name}]`);
    return [{ kind: 'process', pid: inside, uid: insideUser(idMap, uid), command }];
  } catch {
    // It has just ended.
    return [];
  }
}
