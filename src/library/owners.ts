/** The ids that users of a testbed have: what is written as a file of theirs belongs to these. */
import { CommandTimeoutError, CopyError, CopyTimeoutError, UsageError } from '../errors.ts';
import { runToEnd, type StartPlace } from './start.ts';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * @param timeout seconds for each user
 * @throws {@link UsageError} when there is no such user, {@link CopyError}, {@link CopyTimeoutError}
 */
export async function ownersOf(
  place: StartPlace,
  users: Iterable<string>,
  timeout: number,
): Promise<ReadonlyMap<string, Owner>> {
  const owners = new Map<string, Owner>([['root', { uid: 0, gid: 0 }]]);
  for (const user of users) {
    if (owners.has(user)) continue;
    const asking = { user, maxOutput: 1000, timeout };
    const { stdout } = await runToEnd({ ...place, isPart: true }, OWN_IDS, asking).catch(noOwner(user));
    owners.set(user, parseIds(String(stdout), user));
  }
  return owners;
}

/**
 * The program of a shell that prints the ids of its process; it needs no program of the image. Its output is as hostile as
 * everything from a testbed.
 */
const OWN_IDS =
  'while read -r key id rest; do case $key in Uid: | Gid:) echo "$id" ;; esac; done </proc/self/status';

function parseIds(text: string, user: string): Owner {
  const [, uid, gid] = /^(\d{1,10})\n(\d{1,10})\n$/.exec(text) ?? [];
  if (uid === undefined || gid === undefined) {
    throw new CopyError(`the ids of the user ${user} are unknown`, {
      code: 'NO_IDS',
      remedy: 'look whether /bin/sh of the testbed works',
    });
  }
  return { uid: Number(uid), gid: Number(gid) };
}

/** The command that asks for the ids is none of the caller's. */
function noOwner(user: string): (error: unknown) => never {
  return (error) => {
    if (error instanceof CommandTimeoutError) {
      throw new CopyTimeoutError(`the testbed took too long to find the ids of the user ${user}`, {
        ...{ cause: error, remedy: 'allow more seconds (copyTimeout)' },
      });
    }
    if (!(error instanceof UsageError) || error.code !== 'NO_USER') throw error;
    throw new UsageError(`no file can belong to ${user}: the testbed has no such user`, {
      ...{ code: error.code, cause: error, remedy: 'add the user first, or give its number' },
    });
  };
}
