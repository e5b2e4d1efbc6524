/** A package's tree on the host. A build in a testbed may have written it, so a link in it may lead to any file of the host. */
import { existsSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Argv, mustRunHost } from '../host.ts';
import type { Log } from '../log.ts';
import { removing } from './driver-words.ts';

/** The real path of a regular file; undefined when there is none, or it is not in the tree. */
export function fileIn(tree: string, path: string): string | undefined {
  const real = realIn(tree, path);
  return real !== undefined && statSync(real).isFile() ? real : undefined;
}

function realIn(tree: string, path: string): string | undefined {
  try {
    const real = realpathSync(join(tree, path));
    return real.startsWith(`${realpathSync(tree)}/`) ? real : undefined;
  } catch {
    return undefined;
  }
}

interface GivenTree {
  readonly tree: string;
  readonly server: Argv;
  /** For a copy of the tree. */
  readonly folder: string;
}

/**
 * The driver takes a tree for built, and copies nothing but what the tests need, when it has debian/files. Where the package was not built,
 * a copy of the tree has that file until the driver has started, because tests must not see it.
 */
export async function builtTree(
  { tree, server, folder }: GivenTree,
  log: Log,
): Promise<{ readonly tree: string; readonly server: Argv }> {
  if (existsSync(join(tree, 'debian/files')) || fileIn(tree, 'debian/control') === undefined) {
    return { tree, server };
  }
  const own = join(folder, 'tree');
  await mustRunHost(['cp', '--archive', '--link', '--', tree, own], log, 'copying the source tree');
  const debian = realIn(own, 'debian');
  if (debian === undefined) return { tree, server };
  const mark = join(debian, 'files');
  // A link that leads nowhere.
  rmSync(mark, { force: true });
  writeFileSync(mark, '', { flag: 'wx' });
  return { tree: own, server: removing(server, mark) };
}
