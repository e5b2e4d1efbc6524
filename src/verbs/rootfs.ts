import { createLog } from '../log.ts';
import { openCache } from '../rootfs/cache.ts';
import type { RootfsCall } from './rootfs-call.ts';
import { build, exportOne, importOne, update } from './rootfs-images.ts';
import { pruneBases, remove, verify } from './rootfs-kept.ts';
import { list } from './rootfs-list.ts';
import { chooseCommand } from './sub-command.ts';
import type { RunVerb } from './verb.ts';

const COMMANDS = {
  list,
  build,
  update,
  import: importOne,
  export: exportOne,
  remove,
  prune: pruneBases,
  verify,
} as const satisfies Record<string, (call: RootfsCall) => Promise<number>>;

/** Gives the exit status: 0, or 1 when something that was named is in use or different. */
export const rootfs: RunVerb = async (words, signal) => {
  const [given, ...names] = words.operands;
  const command = chooseCommand('rootfs', given, COMMANDS);
  words.mustFit(`rootfs ${command}`);
  const log = createLog({ debug: words.has('debug') });
  return COMMANDS[command]({ names, words, cache: openCache(process.env), log, signal });
};
