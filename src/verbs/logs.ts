/** `logs`: the output of a detached command. */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../errors.ts';
import { type Found, findDetached } from '../processes/detached.ts';
import { isAlive } from '../processes/identity.ts';
import { registered } from '../processes/open-testbeds.ts';
import { BEFORE, CURRENT } from './bounded-log.ts';
import { choose } from './exec.ts';
import type { RunVerb } from './verb.ts';

const BLOCK = 64 * 1024;
/** Milliseconds between looks at a file that grows. */
const LOOK = 100;

export const logs: RunVerb = async (words, signal) => {
  const [name] = words.operands;
  if (name === undefined) {
    throw new UsageError('logs needs the name of a testbed', {
      code: 'MISSING_WORD',
      remedy: 'virt-ts-unshare ps lists the open ones',
    });
  }
  const found = findDetached(name, process.env).at(-1);
  if (found === undefined) throw notDetached(name);
  // The reader of stdout may end first, as in `logs -f web | head`.
  const unread = new AbortController();
  process.stdout.on('error', () => unread.abort());
  const ended = AbortSignal.any([signal, unread.signal]);
  const before = openOrNothing(join(found.folder, BEFORE));
  if (before !== undefined) {
    await copyRest(before, ended);
    closeSync(before);
  }
  await (words.has('follow') ? follow(found, ended) : show(found, ended));
  return 0;
};

function notDetached(name: string): UsageError {
  const { owner } = choose(name, registered(process.env));
  return new UsageError(
    `the output of the testbed ${name} is not kept, because it was not opened by run --detach`,
    {
      code: 'NOT_DETACHED',
      remedy: `look at the output of the process ${owner}, which opened it`,
    },
  );
}

async function show({ folder }: Found, signal: AbortSignal): Promise<void> {
  const file = openOrNothing(join(folder, CURRENT));
  if (file === undefined) return;
  await copyRest(file, signal);
  closeSync(file);
}

/** Until the keeper has ended. A file that was given another name is read to its end, then the new one is begun. */
async function follow({ folder, keeper }: Found, signal: AbortSignal): Promise<void> {
  const path = join(folder, CURRENT);
  let file = openOrNothing(path);
  while (file !== undefined && !signal.aborted) {
    // In this order, so that the last output is read.
    const isLast = !isAlive(keeper);
    const isCurrent = inodeOf(path) === fstatSync(file).ino;
    await copyRest(file, signal);
    if (!isCurrent) {
      closeSync(file);
      file = openOrNothing(path);
    } else if (isLast) break;
    else await new Promise((resolve) => setTimeout(resolve, LOOK));
  }
  if (file !== undefined) closeSync(file);
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

function openOrNothing(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch {
    return undefined;
  }
}

async function copyRest(file: number, signal: AbortSignal): Promise<void> {
  for (;;) {
    const block = Buffer.alloc(BLOCK);
    const length = readSync(file, block);
    if (length === 0 || signal.aborted) return;
    await new Promise((resolve) => process.stdout.write(block.subarray(0, length), resolve));
  }
}
