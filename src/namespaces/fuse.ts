import { readFileSync } from 'node:fs';
import { messageOf } from '../errors.ts';
import { helperWords } from '../helper.ts';
import { quickHost } from '../host.ts';
import type { Log } from '../log.ts';
import { within } from '../wait.ts';

/** Milliseconds; a request to a mount below a hanging one would take for ever. */
const LIMIT = 2_000;

/** Aborts the FUSE connections that only these processes see; see helper/fuse.c. */
export async function abortFuse(pids: readonly number[], log: Log): Promise<void> {
  const waiting = pids.filter(seesFuse);
  if (waiting.length === 0) return;
  const aborting = quickHost(helperWords('abort-fuse', ...waiting.map(String)), log);
  try {
    await within(aborting, LIMIT);
  } catch (error) {
    log.debug(`cannot abort what they wait for: ${messageOf(error)}`);
  }
}

function seesFuse(pid: number): boolean {
  try {
    return / - fuse/.test(readFileSync(`/proc/${pid}/mountinfo`, 'latin1'));
  } catch {
    return false;
  }
}
