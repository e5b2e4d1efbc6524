/** `commit`: makes an image of an open testbed of any server of this user. */
import { UsageError } from '../errors.ts';
import { helperWords } from '../helper.ts';
import { createLog } from '../log.ts';
import { readCaller } from '../namespaces/caller.ts';
import { chooseIdMaps } from '../namespaces/idmap.ts';
import { registered } from '../processes/open-testbeds.ts';
import { openCache } from '../rootfs/cache.ts';
import { commitImage } from '../rootfs/commit.ts';
import { imageNameFor } from '../rootfs/order.ts';
import type { Inside } from '../rootfs/unpack.ts';
import { notOfCopies } from '../testbed/committing.ts';
import { choose } from './exec.ts';
import type { RunVerb } from './verb.ts';

export const commit: RunVerb = async (words, signal) => {
  const [given, name, extra] = words.operands;
  if (given === undefined || name === undefined || extra !== undefined) {
    throw new UsageError('commit takes the name or pid of a testbed, and a name for the image', {
      code: extra === undefined ? 'MISSING_WORD' : 'UNEXPECTED_WORD',
      remedy: 'virt-ts-unshare ps lists the open testbeds',
    });
  }
  const testbed = choose(given, registered(process.env));
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
  const log = createLog({ debug: words.has('debug') });
  // The directory of bases is the first source of each holder.
  const inside: Inside = {
    idMap: chooseIdMaps(readCaller()),
    inside: (path) => path.replace(bases, '/mnt/0'),
    enter: (argv) => helperWords('enter', '-s', String(holder), ...argv),
  };
  const path = await commitImage({
    ...{ name: imageNameFor(name, words.one('arch')), holder: inside, cache, log, signal },
    ...{ keys, uppers: layers, binds, root, pid },
  });
  process.stdout.write(`${path}\n`);
  return 0;
};
