import { appendFileSync } from 'node:fs';
import type { Log } from '../log.ts';
import { writeToStderr } from '../stderr.ts';
import type { Leak } from './leak.ts';

const MOST = { report: 1000, warnings: 100 } as const;

export type LeakMoment = 'command' | 'revert' | 'snapshot' | 'close';

export function reportLeaks(
  leaks: readonly Leak[],
  at: LeakMoment,
  { format, file }: { readonly format: 'text' | 'json'; readonly file: string | undefined },
): void {
  const lines = leaks.slice(0, MOST.report).map((leak) => leakLine(leak, at, format));
  if (leaks.length > MOST.report) lines.push(moreLine(leaks.length - MOST.report, at, format));
  const prefix = format === 'text' && file === undefined ? 'virt-ts-unshare: ' : '';
  const whole = lines.map((line) => `${prefix}${line}\n`);
  if (file === undefined) whole.forEach(writeToStderr);
  else if (whole.length > 0) appendFileSync(file, whole.join(''));
}

/** `json`: an object with all members of the leak, and `at`. `text`: `left at AT: KIND NAME=VALUE ...`, percent-encoded. */
export function leakLine(leak: Leak, at: LeakMoment, format: 'text' | 'json'): string {
  if (format === 'json') return JSON.stringify({ at, ...leak });
  const { kind, ...rest } = leak;
  const words = Object.entries(rest).map(([name, value]) => `${name}=${asWord(String(value))}`);
  return [`left at ${at}: ${kind}`, ...words].join(' ');
}

function moreLine(count: number, at: LeakMoment, format: 'text' | 'json'): string {
  return format === 'json'
    ? JSON.stringify({ at, kind: 'more', count })
    : `left at ${at}: more count=${count}`;
}

function asWord(text: string): string {
  return text.replace(/[^!-~]/gu, (char) => encodeURIComponent(char));
}

export function warnOfLeaks(leaks: readonly Leak[], log: Log): void {
  for (const leak of leaks.slice(0, MOST.warnings)) {
    const ended = leak.kind === 'process' && leak.ended === true;
    log.warn(`left behind${ended ? ', and ended for holding the output open' : ''}: ${describeLeak(leak)}`);
  }
  if (leaks.length > MOST.warnings) log.warn(`left behind: ${leaks.length - MOST.warnings} more`);
}

const IPC = {
  shm: 'shared memory segment',
  sem: 'semaphore set',
  msg: 'message queue',
  mqueue: 'POSIX message queue',
} as const;

export function describeLeak(leak: Leak): string {
  switch (leak.kind) {
    case 'file':
      return leak.type === 'file'
        ? `file ${leak.path} (uid ${leak.uid}, ${leak.size} bytes)`
        : `${leak.type} ${leak.path} (uid ${leak.uid})`;
    case 'mount':
      return `mount of ${leak.source} (${leak.type}) on ${leak.path}`;
    case 'process':
      return `process ${leak.pid} (uid ${leak.uid}): ${leak.command}`;
    case 'ipc':
      return `${IPC[leak.type]} ${leak.id} (uid ${leak.uid}${leak.type === 'shm' ? `, ${leak.size} bytes` : ''})`;
    case 'interface':
      return `network interface ${leak.name}`;
    case 'unit':
      return `unit ${leak.name} (${leak.state})`;
  }
}
