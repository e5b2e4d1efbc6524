import { createLog } from '../log.ts';
import { openCache } from '../rootfs/cache.ts';
import { ROOTFS_COMMANDS } from './rootfs-commands.ts';
import { chooseCommand } from './sub-command.ts';
import type { RunVerb } from './verb.ts';

/** Gives the exit status: 0, or 1 when something that was named is in use or different. */
export const rootfs: RunVerb = async (words, signal) => {
  const [given, ...names] = words.operands;
  const command = chooseCommand('rootfs', given, ROOTFS_COMMANDS);
  words.mustFit(`rootfs ${command}`);
  const log = createLog({ debug: words.has('debug') });
  return ROOTFS_COMMANDS[command]({ names, words, cache: openCache(process.env), log, signal });
};
