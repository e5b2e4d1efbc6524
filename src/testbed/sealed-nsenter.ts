/** A copy of nsenter by which execute.sh may enter all namespaces of a testbed at once. */
import {
  chmodSync,
  closeSync,
  copyFileSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  renameSync,
  type Stats,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { findProgram } from '../namespaces/caller.ts';
import type { CacheFolder } from '../rootfs/cache.ts';

/** To execute, and not to read: not even for the owner. */
const MODE = 0o111;
/** The distribution's own, which is known to be no wrapper. */
const SYSTEM_NSENTER = /^(?:\/usr)?\/bin\/nsenter$/;
const ELF = Buffer.from('\x7fELF', 'latin1');

/**
 * Path of a copy of nsenter that its owner may execute and not read. Nobody may ptrace(2) a process that executes such a file
 * without CAP_SYS_PTRACE in the caller's own user namespace (would_dump() in fs/exec.c of Linux), so root of a testbed cannot,
 * even while the process is in there with the caller's user id. Made once for each version of nsenter.
 * @returns undefined where it would protect nobody, or cannot be made: root reads every file, a system can be told to let
 * all processes be dumped (fs.suid_dumpable in proc(5)), and a nsenter that is a script or a wrapper executes another file
 */
export function sealedNsenter(cache: CacheFolder, log: Log): string | undefined {
  const uid = process.geteuid?.() ?? 0;
  const found = findProgram('nsenter');
  if (uid === 0 || found === undefined) return undefined;
  try {
    const program = realpathSync(found);
    if (!SYSTEM_NSENTER.test(program) || !isCompiled(program)) return undefined;
    if (readFileSync('/proc/sys/fs/suid_dumpable', 'utf8').trim() === '1') return undefined;
    const original = statSync(program);
    const path = join(cache.programs, `nsenter-${original.size}-${Math.trunc(original.mtimeMs)}`);
    const there = statSync(path, { throwIfNoEntry: false });
    if (there === undefined || !isSealed(there, uid, original.size)) seal(program, path);
    return path;
  } catch (error) {
    log.debug(`each command takes one nsenter more: ${messageOf(error)}`);
    return undefined;
  }
}

function isCompiled(program: string): boolean {
  const file = openSync(program, 'r');
  try {
    const magic = Buffer.alloc(ELF.length);
    readSync(file, magic);
    return magic.equals(ELF);
  } finally {
    closeSync(file);
  }
}

function isSealed({ uid, mode, size }: Stats, owner: number, expected: number): boolean {
  return uid === owner && (mode & 0o7777) === MODE && size === expected;
}

function seal(program: string, path: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  copyFileSync(program, temporary);
  chmodSync(temporary, MODE);
  renameSync(temporary, path);
}
