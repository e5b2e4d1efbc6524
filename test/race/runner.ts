/** Runs a case once as a driver would and says what is wrong with the outcome. */
import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Case } from './cases.ts';

/** What a command's stdout is: a pipe, what Node gives its children (a socket), or a file. */
export type Output = 'pipe' | 'socket' | 'file';
export const outputs: readonly Output[] = ['pipe', 'socket', 'file'];

/** A testbed of whatever make. */
export interface Bed {
  /** Words to put before a command's own. */
  execute(drain: number): readonly string[];
  /** A file's text, or undefined. */
  read(path: string): Promise<string | undefined>;
  /** Arguments of all `sleep` that run. */
  sleeping(): Promise<number[]>;
  /** Ends those. */
  endSleeping(): Promise<void>;
}

export interface Outcome {
  /** Undefined: it did not return in time. */
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  readonly milliseconds: number;
}

/** Longer than any case takes on a busy machine. */
const LIMIT = 60_000;

/** Runs words to the end of the process and of its output. */
export async function run(
  words: readonly string[],
  output: Output,
  limit = LIMIT,
  encoding: BufferEncoding = 'utf8',
): Promise<Outcome> {
  // The shell's pipe is a real one; that of Node is a pair of sockets.
  const argv =
    output === 'pipe'
      ? // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell expands it
        ['bash', '-c', '{ "$@" 2>&3 3>&- | cat; exit "${PIPESTATUS[0]}"; } 3>&2', 'pipe', ...words]
      : words;
  const [file = '', ...args] = argv;
  const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-race-'));
  const path = join(folder, 'stdout');
  const descriptor = output === 'file' ? openSync(path, 'w') : undefined;
  try {
    const start = performance.now();
    const child = spawn(file, args, { stdio: ['ignore', descriptor ?? 'pipe', 'pipe'], detached: true });
    const said = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding(encoding).on('data', (text: string) => {
        said[name] += text;
      });
    }
    const status = await new Promise<number | undefined>((resolve) => {
      const timer = setTimeout(() => {
        resolve(undefined);
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      }, limit);
      child.once('close', (code) => {
        clearTimeout(timer);
        resolve(code ?? -1);
      });
    });
    const milliseconds = performance.now() - start;
    if (descriptor !== undefined) said.stdout = readFileSync(path, encoding);
    return { ...said, status, milliseconds };
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
    rmSync(folder, { recursive: true });
  }
}

/**
 * What can go wrong: output or a file that is not whole, no end, a wrong status, a process too many or too few afterwards,
 * output that no process wrote.
 */
export type Fault = 'lost' | 'hang' | 'status' | 'left' | 'stray';

/** The faults of one run, each with what was seen. */
export interface CaseOutcome {
  readonly faults: ReadonlyMap<Fault, string>;
  readonly milliseconds: number;
}

let folders = 0;

/** Runs a case once; `limit` ms without an end is a hang. */
export async function runCase(one: Case, bed: Bed, output: Output, limit = LIMIT): Promise<CaseOutcome> {
  folders += 1;
  const folder = `/tmp/race-${process.pid}-${folders}`;
  const script = `mkdir ${folder}; ${one.script}`;
  const outcome = await run(
    [...bed.execute(one.drain ?? 10), 'sh', '-c', script, 'case', folder],
    output,
    limit,
  );
  const faults = new Map<Fault, string>();
  if (outcome.status === undefined) faults.set('hang', `no end after ${limit / 1000} s`);
  else if (outcome.status !== one.status) faults.set('status', `${outcome.status}, not ${one.status}`);
  const expect = (what: string, seen: string | undefined, expected: string) => {
    if (seen === expected) return;
    const fault = expected === '' ? 'stray' : 'lost';
    faults.set(
      fault,
      `${what}: ${seen?.length ?? 'no'} instead of ${expected.length} bytes: ${JSON.stringify(seen?.slice(-80))}`,
    );
  };
  expect('stdout', outcome.stdout, one.stdout);
  expect('stderr', outcome.stderr, one.stderr ?? '');
  for (const [name, text] of Object.entries(one.files ?? {})) {
    expect(name, await bed.read(`${folder}/${name}`), text);
  }
  const sleeping = await sleepingOnes(bed, one.alive?.length ?? 0);
  if (sleeping.join() !== (one.alive ?? []).join()) faults.set('left', `sleep ${sleeping.join()}`);
  if (sleeping.length > 0) await bed.endSleeping();
  return { faults, milliseconds: outcome.milliseconds };
}

/** Those of a case. One that is to live on may be a shell still that is about to execute it. */
export async function sleepingOnes(bed: Bed, count: number): Promise<number[]> {
  const end = performance.now() + 30_000;
  for (;;) {
    const found = (await bed.sleeping()).filter((number) => number >= 6000);
    if (found.length >= count || performance.now() > end) return found;
    await delay(10);
  }
}
