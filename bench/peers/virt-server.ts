/** Measures a virt server over the driver's protocol: this project's, and autopkgtest-virt-unshare. */
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Caller, timeProgram, timeRepeated, VirtServer, type Words } from '../client.ts';
import { touchMemory } from '../memory.ts';
import { RAW } from '../report.ts';
import type { Figure, Results } from '../results.ts';

export interface ServerPeer {
  readonly name: string;
  readonly argv: Words;
  readonly caller: Caller;
  /** True when an open with an empty cache differs from a later one. */
  readonly caches: boolean;
}

/** Commands in a row, and how often. */
const RUNS = 10;
const ROUNDS = 4;
const REVERTS = 3;
/** Milliseconds; this server makes the next testbed ahead in some 30. */
const TEST = 200;

/**
 * Ends a session and removes what came of it. To be called when nothing on that disk is measured any more: an ext4 without a
 * journal takes a hundred times as long for a new file where others were removed in the last minutes (docs/copying.md), and
 * and this would slow down the next peer.
 */
export type EndOfSession = () => Promise<void>;

/** One whole session: first ok, open, `true` in a row, reverts, close. */
export async function session(peer: ServerPeer, results: Results): Promise<void> {
  const server = await VirtServer.start(peer.argv, peer.caller);
  results.add(peer.name, 'first ok', server.firstOk);
  results.add(peer.name, 'open', await server.time('open'));
  const execute = await server.executeCommand();
  const target = targetOf(execute);
  const runs: [string, Figure, readonly string[]][] = [[peer.name, 'run true', [...execute, 'true']]];
  if (target !== undefined) {
    const raw = ['nsenter', '-t', target, '-U', '-m', '-p', '-i', '-u', '-C', '--', 'true'];
    runs.push([RAW, 'run true', raw]);
  }
  await inTurn(runs, peer.caller, results);
  if (target !== undefined) {
    const daemon = ['sh', '-c', 'setsid sleep 1000 </dev/null >/dev/null 2>&1 &'];
    await timeProgram([...execute, ...daemon], peer.caller);
    await inTurn([[peer.name, 'run true beside a daemon', [...execute, 'true']]], peer.caller, results);
  }
  for (let revert = 0; revert < REVERTS; revert++)
    results.add(peer.name, 'revert', await server.time('revert'));
  if (peer.caches) {
    // As after a test of some time.
    await delay(TEST);
    results.add(peer.name, 'revert after a test', await server.time('revert'));
  }
  results.add(peer.name, 'close', await server.time('close'));
  await server.quit();
}

async function inTurn(
  runs: readonly [string, Figure, readonly string[]][],
  caller: Caller,
  results: Results,
): Promise<void> {
  for (let round = 0; round < ROUNDS; round++)
    for (const [name, figure, argv] of runs)
      results.add(name, figure, await timeRepeated(argv, RUNS, caller));
}

/** The testbed's pid 1, which this server's execute command names. */
function targetOf(execute: readonly string[]): string | undefined {
  const at = execute.indexOf('-p');
  return at < 0 ? undefined : execute[at + 1];
}

/**
 * An open with nothing in the cache; without a cache it is the same as any other.
 * @param folder of the cache, and of what servers keep in TMPDIR
 * @param place behind the name of the figure
 */
export async function coldOpen(
  peer: ServerPeer,
  folder: string,
  place: '' | ', disk',
  results: Results,
): Promise<EndOfSession> {
  const cache = mkdtempSync(join(folder, 'cold-cache-'));
  giveTo(cache, peer.caller);
  const caller = { ...peer.caller, env: { ...peer.caller.env, XDG_CACHE_HOME: cache, TMPDIR: folder } };
  touchMemory();
  const server = await VirtServer.start(peer.argv, caller);
  results.add(peer.name, `first open${place}`, await server.time('open'));
  return async () => {
    await server.quit();
    if (peer.caches) await timeProgram([peer.argv[0], 'rootfs', 'prune', '--max-age', '0'], caller);
    rmSync(cache, { recursive: true, force: true });
  };
}

export function giveTo(path: string, { uid, gid }: Caller): void {
  if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid);
}
