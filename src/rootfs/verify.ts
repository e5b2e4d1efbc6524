import { closeSync, fstatSync, openSync } from 'node:fs';
import { reasonOf, systemCodeOf } from '../errors.ts';
import { spawnHost, textOf, toolFailed } from '../host.ts';
import type { Log } from '../log.ts';
import type { CacheFolder } from './cache.ts';
import { hashOf, rememberedHash, stateOf } from './identity.ts';
import { baseKey } from './keys.ts';
import type { KnownBase } from './record.ts';
import { compareArgv, decompressorOf, type Inside, isRemark } from './unpack.ts';

type Verdict =
  | { readonly kind: 'same' }
  | { readonly kind: 'different'; readonly differences: readonly string[] }
  | { readonly kind: 'unknown'; readonly why: string };

/** Status of GNU tar for an error such as a missing file; 1 is that of a difference. */
const TAR_FAILED = 2;

/** Slow: reads both completely. @throws TestbedError */
export async function verifyBase(
  base: KnownBase,
  holder: Inside,
  cache: CacheFolder,
  log: Log,
  signal?: AbortSignal,
): Promise<Verdict> {
  const { tarball, sha256, skipped } = base.record;
  if (baseKey(sha256, holder.idMap.key) !== base.key) {
    return { kind: 'unknown', why: 'it belongs to the ids of another caller' };
  }
  let fd: number;
  try {
    fd = openSync(tarball, 'r');
  } catch (error) {
    const why = systemCodeOf(error) === 'ENOENT' ? 'is gone' : `cannot be read: ${reasonOf(error)}`;
    return { kind: 'unknown', why: `its tarball ${tarball} ${why}` };
  }
  try {
    const state = stateOf(fstatSync(fd, { bigint: true }));
    if (((await rememberedHash(cache, tarball, state)) ?? (await hashOf(fd, signal))) !== sha256) {
      return { kind: 'unknown', why: `its tarball ${tarball} was changed` };
    }
    const argv = holder.enter(
      compareArgv(`${holder.inside(base.folder)}/tree/root`, decompressorOf(tarball, fd)),
    );
    const tar = await spawnHost(argv, log, { stdio: [fd, 'pipe', 'pipe'], env: { LC_ALL: 'C' }, cwd: '/' });
    const [differing, complaints, { status }] = await Promise.all([
      textOf(tar.child.stdout),
      textOf(tar.child.stderr),
      tar.exited,
    ]);
    // Also of one that was killed, such as for want of memory, before it found a difference.
    if (status > TAR_FAILED) {
      throw toolFailed(`comparing with ${tarball}`, { words: complaints, status });
    }
    const differences = readDifferences(differing + complaints, skipped, holder.idMap.single);
    return differences.length === 0 ? { kind: 'same' } : { kind: 'different', differences };
  } finally {
    closeSync(fd);
  }
}

/** The output of GNU tar without expected differences: excluded device nodes, and owners where there is only one id. */
export function readDifferences(words: string, skipped: readonly string[], single: boolean): string[] {
  return words.split('\n').filter((line) => {
    if (line === '' || isRemark(line)) return false;
    if (single && /: [GU]id differs$/.test(line)) return false;
    const missing = /^tar: (.*): Warning: Cannot stat: No such file or directory$/.exec(line)?.[1];
    return missing === undefined || !skipped.includes(missing);
  });
}
