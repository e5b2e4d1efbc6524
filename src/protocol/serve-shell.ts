import { constants, promises } from 'node:fs';
import { reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { OpenTestbed } from '../testbed/types.ts';
import { parseVariables } from './serve-command.ts';

/** Without a terminal it only reports that: a driver asks for a shell when a test has failed, and must get its reply. */
export async function serveShell(testbed: OpenTestbed, words: readonly string[], log: Log): Promise<void> {
  const [directory = '/', ...variables] = words;
  const env = parseVariables(variables);
  const { TERM } = process.env;
  if (env.TERM === undefined && TERM !== undefined) env.TERM = TERM;
  let tty: Awaited<ReturnType<typeof promises.open>>;
  try {
    tty = await promises.open('/dev/tty', constants.O_RDWR);
  } catch (cause) {
    log.warn(
      `cannot open a shell without a terminal (/dev/tty: ${reasonOf(cause)}); start the server on one`,
    );
    return;
  }
  try {
    const status = await testbed.shell(directory, env, tty.fd);
    log.debug(`the shell ended with status ${status}`);
  } finally {
    await tty.close();
  }
}
