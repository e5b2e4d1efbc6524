/** `commit`: makes an image of an open testbed of any server of this user. */
import { UsageError } from '../errors.ts';
import { createLog } from '../log.ts';
import { registered } from '../processes/open-testbeds.ts';
import { imageNameFor } from '../rootfs/order.ts';
import { commitOpen } from '../testbed/commit-open.ts';
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
  const log = createLog({ debug: words.has('debug') });
  const path = await commitOpen(testbed, { given, name: imageNameFor(name, words.one('arch')), log, signal });
  process.stdout.write(`${path}\n`);
  return 0;
};
