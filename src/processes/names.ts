/** Names of open testbeds that were given with --name: no two of one user are the same. */
import { join } from 'node:path';
import { UsageError } from '../errors.ts';
import { Claims } from './claims.ts';
import { keepFresh } from './fresh.ts';
import { thisProcess } from './identity.ts';
import { registered } from './open-testbeds.ts';
import { lastingFolder } from './runtime-folder.ts';

/** Gives the function that frees the name; the end of this process frees it too. @throws UsageError when it is taken */
export function claimName(name: string, env: Readonly<NodeJS.ProcessEnv>): () => void {
  const claims = new Claims(join(lastingFolder(env), 'names'));
  claims.sweep();
  const { pid } = registered(env).find((each) => each.name === name) ?? {};
  if (pid !== undefined || !claims.claim(name, { owner: thisProcess() })) {
    const by = pid ?? claims.read(name)?.owner.pid;
    throw new UsageError(
      `the name ${name} belongs to another testbed${by === undefined ? '' : ` (process ${by})`}`,
      {
        code: 'NAME_TAKEN',
        remedy: `close it with virt-ts-unshare close ${name}, or give another name`,
      },
    );
  }
  const stop = keepFresh(claims.pathOf(name));
  return () => {
    stop();
    claims.remove(name);
  };
}
