/** Makes an image of an open testbed of any process of this user. */
import { UsageError } from '../errors.ts';
import { helperWords } from '../helper.ts';
import type { Log } from '../log.ts';
import { readCaller } from '../namespaces/caller.ts';
import { chooseIdMaps } from '../namespaces/idmap.ts';
import type { Registered } from '../processes/open-testbeds.ts';
import { openCache } from '../rootfs/cache.ts';
import { commitImage } from '../rootfs/commit.ts';
import type { Inside } from '../rootfs/unpack.ts';
import { notOfCopies } from './committing.ts';

interface OpenCommit {
  /** What the testbed is called in messages. */
  readonly given: string;
  /** NAME-ARCH. */
  readonly name: string;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Gives the path of the record. @throws UsageError, TestbedError */
export async function commitOpen(
  testbed: Registered,
  { given, name, log, signal }: OpenCommit,
): Promise<string> {
  const { holder, layers, bases, keys, binds = [], mode, root, pid } = testbed;
  if (mode === 'copy') throw notOfCopies();
  if (holder === undefined || layers === undefined || bases === undefined || keys === undefined) {
    throw new UsageError(`the testbed ${given} was opened by an older version of this program`, {
      code: 'NO_LAYER',
      remedy: 'open it again',
    });
  }
  const cache = openCache(process.env);
  if (cache.bases !== bases) {
    throw new UsageError(`the testbed ${given} was opened from the cache ${bases}, not ${cache.bases}`, {
      code: 'OTHER_CACHE',
      remedy: 'set XDG_CACHE_HOME as for the program that opened it',
    });
  }
  // The directory of bases is the first source of each holder.
  const inside: Inside = {
    idMap: chooseIdMaps(readCaller()),
    inside: (path) => path.replace(bases, '/mnt/0'),
    enter: (argv) => helperWords('enter', '-s', String(holder), ...argv),
  };
  return commitImage({
    ...{ name, holder: inside, cache, log, signal },
    ...{ keys, uppers: layers, binds, root, pid, hasInit: testbed.init !== undefined },
  });
}
