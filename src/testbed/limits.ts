/** What a testbed may use of this machine. */
import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { memoryLimit } from '../namespaces/memory-limit.ts';

/** As systemd-nspawn and its machines have it. */
const MOST_PROCESSES = 16_384;
const MEBIBYTE = 1024 ** 2;

/** Looked up once. */
let limitOfGroup: { readonly bytes: number | undefined } | undefined;

/**
 * Memory for a testbed's files; undefined for the machine's. In a cgroup that may have less, a command that fills a tmpfs would have the kernel
 * kill the largest process, which is this program.
 */
export function memoryFor(wanted: number | undefined): number | undefined {
  if (wanted !== undefined) return wanted;
  limitOfGroup ??= { bytes: memoryLimit() };
  const { bytes } = limitOfGroup;
  return bytes !== undefined && bytes < totalmem() ? bytes : undefined;
}

/** Threads count too. The kernel counts those of a testbed for the caller as well, so half of the caller's limit stays for others. */
export function mostProcesses(
  wanted: number | undefined,
  limits = ownLimits(),
  memory = memoryFor(undefined) ?? totalmem(),
): number {
  if (wanted !== undefined) return wanted;
  // A process takes about a quarter of this.
  const fitting = Math.max(512, Math.floor(memory / MEBIBYTE));
  return Math.min(MOST_PROCESSES, fitting, Math.max(64, Math.floor(processLimit(limits) / 2)));
}

function ownLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'latin1');
  } catch {
    return '';
  }
}

/** @param limits as in /proc/PID/limits */
function processLimit(limits: string): number {
  const [, soft] = /^Max processes\s+(\d+)\s/m.exec(limits) ?? [];
  return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
}

/** Sizes of the file systems in memory, in bytes or per cent of the machine's memory: with the layer's half less than all of it. */
export function memoryShares(memory: number | undefined): { readonly shm: string; readonly run: string } {
  const share = (percent: number) => (memory === undefined ? `${percent}%` : bytes(memory, percent));
  return { shm: share(25), run: share(10) };
}

/** @param wanted of the option --scratch. Undefined: half of the machine's memory, as the kernel has it. */
export function layerSize(wanted: string | undefined, memory: number | undefined): string | undefined {
  return wanted ?? (memory === undefined ? undefined : bytes(memory, 50));
}

function bytes(memory: number, percent: number): string {
  // Less than a page would be no limit (tmpfs(5)).
  return String(Math.max(64 * 1024, Math.floor((memory * percent) / 100)));
}
