/**
 * What a server has left behind. A folder of its own is bound into its testbeds; every process in the mount namespaces of
 * stage, holder and testbed then has that folder's name in its mountinfo, and can be distinguished from all others.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { allPids, commandLine } from '../../src/processes/list.ts';

export class Marker {
  /** Bound into the testbeds, or the root of them. */
  readonly folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-mark-'));

  /** Options for the server. */
  get options(): string[] {
    return ['--bind', this.folder, '/mnt'];
  }

  /** Processes that are in a namespace of such a server, by pid and command line. */
  left(): string[] {
    const name = basename(this.folder);
    return allPids()
      .filter((pid) => mountsOf(pid).includes(name))
      .map((pid) => `${pid} ${commandLine(pid)}`);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The host's mounts that could be of a testbed; others come and go. */
export function mountsThere(): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return lines.filter(
    (line) =>
      /virt-ts-unshare| - tmpfs | upperdir=\/mnt\/layers/.test(line) &&
      !/mmdebstrap|containers\/storage/.test(line),
  );
}

function mountsOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/mountinfo`, 'utf8');
  } catch {
    // It has ended, or belongs to another user.
    return '';
  }
}
