/** What a command of a driver is for. Pure. */
import type { CommandEvent } from '../events/types.ts';

export type Purpose = 'test' | 'packages' | 'build' | 'command';

const WRAPPER = /\/wrapper\.sh .*--stdout='?\S*\/([^/\s']+)-stdout'? /s;
const PACKAGES =
  /(?:^|[\s;&|(])(?:apt|apt-get|apt-mark|apt-cache|apt-ftparchive|aptitude|dpkg|dpkg-query)(?=[\s;)]|$)/;

/** What the verb `test` has in place of a test where a driver only prepares a testbed. */
const PREPARATION = /^prepared-[0-9a-f]{16}$/;

/** The name of the test that a command of autopkgtest runs. */
export function testOf({ argv }: Pick<CommandEvent, 'argv'>): string | undefined {
  const name = argv[0] === 'su' || argv[0] === 'bash' ? WRAPPER.exec(argv.at(-1) ?? '')?.[1] : undefined;
  return name === undefined || PREPARATION.test(name) ? undefined : name;
}

export function purposeOf(command: Pick<CommandEvent, 'argv'>): Purpose {
  if (testOf(command) !== undefined) return 'test';
  const line = command.argv.join(' ');
  if (/\bdpkg-buildpackage\b/.test(line)) return 'build';
  // A word alone may be a name, as in `command -v dpkg-query`.
  return PACKAGES.test(line.replaceAll(/command -v \S+/g, '')) ? 'packages' : 'command';
}
