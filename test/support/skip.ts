/** Tests that cannot be run here are skipped with a reason. */
import type { Context, Suite } from 'mocha';
import { readCaller } from '../../src/namespaces/caller.ts';
import { chooseIdMaps } from '../../src/namespaces/idmap.ts';

/** Ends the running test as skipped; its title then has the reason. */
export function skip(context: Context, reason: string): never {
  if (context.test !== undefined) context.test.title = skipped(context.test.title, reason);
  return context.skip();
}

/** The same for what this machine lacks, which CI must not lack: there it fails. */
export function lack(context: Context, reason: string): never {
  if (process.env.CI) throw new Error(`cannot be tested: ${reason}`);
  return skip(context, reason);
}

function skipped(title: string, reason: string): string {
  return `${title} (skipped: ${reason})`;
}

/** Whether testbeds can have no user but root. */
export const ONLY_ROOT = chooseIdMaps(readCaller()).single;
const NO_USERS = 'without subordinate ids there is no user but root';

/** As mocha's `it`, for what needs another user in the testbed. */
export function itWithUsers(title: string, body: (this: Context) => void | Promise<void>): void {
  if (ONLY_ROOT) it.skip(skipped(title, NO_USERS), body);
  else it(title, body);
}

/** As mocha's `describe`, for what needs another user in the testbed. */
export function describeWithUsers(title: string, body: (this: Suite) => void): void {
  if (ONLY_ROOT) describe.skip(skipped(title, NO_USERS), body);
  else describe(title, body);
}
