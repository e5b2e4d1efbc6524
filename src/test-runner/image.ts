/**
 * Prepares a testbed once, for all drivers: autopkgtest runs the setup commands and installs dependencies for a test that does nothing, and
 * meanwhile the testbed is committed.
 */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../errors.ts';
import type { Argv } from '../host.ts';
import type { Log } from '../log.ts';
import { registered } from '../processes/open-testbeds.ts';
import { processState } from '../processes/stat.ts';
import { randomBytes } from '../random.ts';
import { scriptText } from '../scripts.ts';
import { commitOpen } from '../testbed/commit-open.ts';
import { type DriverEnd, startDriver } from './driver.ts';
import { fileIn } from './tree.ts';

const STATE = '/var/lib/virt-ts-unshare-test';

/** Lists what /run has before anything is installed; see prepared.sh. */
const BEFORE = `cd / && find run -xdev | LC_ALL=C sort >${STATE}.before`;
const RESTORE = `tar --extract --directory=/ --file=${STATE}.tar --preserve-permissions --skip-old-files && rm -f ${STATE}.tar`;

export interface ImageOrder {
  /** Name of the image, NAME-ARCH. */
  readonly name: string;
  readonly depends: readonly string[];
  readonly debs: readonly string[];
  /** The package's tree, when its dependencies are installed. */
  readonly tree: string | undefined;
  /** Options of the driver. */
  readonly args: readonly string[];
  readonly server: Argv;
  /** A directory of its own. */
  readonly folder: string;
  readonly temporary: string;
  readonly signal: AbortSignal;
}

export type Prepared =
  | { readonly kind: 'image'; readonly name: string; readonly restore: readonly string[] }
  /** The testbed cannot become an image, so drivers have to prepare theirs. */
  | { readonly kind: 'unusable'; readonly why: string }
  | { readonly kind: 'failed'; readonly end: DriverEnd };

/** @throws TestbedError, and the reason of an abort */
export async function prepareImage(order: ImageOrder, log: Log): Promise<Prepared> {
  const test = `prepared-${randomBytes(8).toString('hex')}`;
  const tree = makeTree(order, test);
  const ready = new RegExp(`^${test} is prepared: others=(\\d+) run=(\\d)$`);
  let report: ((found: RegExpExecArray) => void) | undefined;
  const prepared = new Promise<RegExpExecArray>((resolve) => {
    report = resolve;
  });
  const driver = await startDriver(
    {
      args: [
        ...order.args.filter((word) => word !== '--no-built-binaries'),
        ...['--no-auto-control', '--no-built-binaries', `--output-dir=${outputOf(order.folder)}`],
        ...[...order.debs, tree],
      ],
      server: order.server,
      logFile: logOf(order.folder),
      temporary: order.temporary,
      signal: order.signal,
      onLine: (line) => {
        const found = ready.exec(line);
        if (found !== null) report?.(found);
      },
    },
    log,
  );
  try {
    const first = await Promise.race([prepared, driver.ended]);
    order.signal.throwIfAborted();
    if (!Array.isArray(first)) return { kind: 'failed', end: first };
    const [, others, run] = first;
    if (others !== '0') {
      return {
        kind: 'unusable',
        why: `${others} processes run after the installation, which testbeds from an image would not have`,
      };
    }
    return await commit(
      order,
      { driver: driver.pid, restore: run === '1' ? ['--setup-commands', RESTORE] : [] },
      log,
    );
  } finally {
    driver.stop();
    await driver.ended;
  }
}

export function outputOf(folder: string): string {
  return join(folder, 'output');
}

export function logOf(folder: string): string {
  return join(folder, 'log');
}

/** The option that each of these drivers needs. */
export const LIST_RUN: readonly string[] = ['--setup-commands', BEFORE];

/** A built tree of the package as far as the driver reads it, with another test. */
function makeTree({ folder, depends, tree }: ImageOrder, test: string): string {
  const made = join(folder, 'tree');
  const tests = join(made, 'debian/tests');
  mkdirSync(tests, { recursive: true });
  writeFileSync(
    join(tests, 'control'),
    `Tests: ${test}\nDepends: ${depends.join(', ')}\nRestrictions: needs-root\n`,
  );
  writeFileSync(join(tests, test), scriptText('in-testbed', 'prepared.sh'), { mode: 0o755 });
  const control = tree === undefined ? undefined : fileIn(tree, 'debian/control');
  if (control !== undefined) {
    copyFileSync(control, join(made, 'debian/control'));
    writeFileSync(join(made, 'debian/files'), '');
  }
  return made;
}

async function commit(
  { name, signal }: ImageOrder,
  { driver, restore }: { readonly driver: number; readonly restore: readonly string[] },
  log: Log,
): Promise<Prepared> {
  const testbed = registered(process.env).find(({ owner }) => processState(owner)?.parent === driver);
  if (testbed === undefined) return { kind: 'unusable', why: 'its testbed is not among those of this user' };
  try {
    await commitOpen(testbed, { given: testbed.name, name, log, signal });
    return { kind: 'image', name, restore };
  } catch (error) {
    signal.throwIfAborted();
    return { kind: 'unusable', why: messageOf(error) };
  }
}
