/** The words of the drivers' command lines. */
import type { Words } from '../command-line/given.ts';
import type { OptionName } from '../command-line/table.ts';
import type { Argv } from '../host.ts';
import type { Setting } from './shares.ts';

/** Options that mean the same to autopkgtest. */
const PASSED = [
  ...(['no-built-binaries', 'override-control', 'ignore-restrictions', 'needs-internet'] as const),
  ...(['no-auto-control', 'user', 'set-lang', 'env', 'timeout-short', 'timeout-copy'] as const),
  ...(['timeout-install', 'timeout-test', 'timeout-build', 'timeout-factor', 'setup-commands-boot'] as const),
  ...(['no-apt-fallback', 'gain-root', 'build-parallel'] as const),
] as const satisfies readonly OptionName[];

/** What they write is kept in an image. */
const SETUP = [
  ...(['apt-upgrade', 'setup-commands', 'copy', 'add-apt-source', 'add-apt-release'] as const),
] as const satisfies readonly OptionName[];

/** A driver remembers what it did for these when it installs dependencies, so each driver gets them. */
const REMEMBERED = [
  ...(['apt-pocket', 'pin-packages', 'apt-default-release'] as const),
] as const satisfies readonly OptionName[];

/** What names the root filesystem of a testbed. */
const ROOT = [
  'tarball',
  'rootfs',
  'release',
  'mirror',
  'bootstrapcmd',
] as const satisfies readonly OptionName[];

export function hasSetup(words: Words): boolean {
  return SETUP.some((name) => words.has(name));
}

export function needsOwnSetup(words: Words): boolean {
  return REMEMBERED.some((name) => words.has(name));
}

export function setupWords(words: Words): string[] {
  return words.argv([...SETUP, ...REMEMBERED]);
}

export function passedWords(words: Words): string[] {
  return words.argv(PASSED);
}

/** For the driver that only prepares a testbed: it runs no test of the package. */
export function preparingWords(words: Words): string[] {
  const testsOnly: readonly OptionName[] = ['override-control', 'ignore-restrictions', 'no-auto-control'];
  return words.argv(PASSED.filter((name) => !testsOnly.includes(name)));
}

/** @param server the words of the server as they were given */
export function serverWords(server: Words, setting: Partial<Setting>, image: string | undefined): string[] {
  const leftOut: readonly OptionName[] = [
    ...(image === undefined ? [] : ROOT),
    ...(setting.network === 'private' ? (['network'] as const) : []),
  ];
  return [
    ...server.argvWithout(leftOut),
    ...(image === undefined ? [] : [`--rootfs=${image}`]),
    ...(setting.network === 'private' ? ['--network=private'] : []),
  ];
}

/** The server as a program of its own. */
export function serverProgram(): Argv {
  // Node 20 would take an option --env-file behind the file's name as its own.
  return [process.execPath, '--', process.argv[1] ?? 'virt-ts-unshare'];
}

/** Moves the built tree away before the driver deletes it, which it does when its server has ended. */
export function keepingTree(
  server: Argv,
  { from, to }: { readonly from: string; readonly to: string },
): Argv {
  const script =
    'from=$1 to=$2; shift 2; s=0; "$@" || s=$?; if [ -d "$from" ]; then mv -- "$from" "$to"; fi; exit $s';
  return ['/bin/sh', '-c', script, 'sh', from, to, ...server];
}

/** Removes a file when the driver has read its command line. */
export function removing(server: Argv, path: string): Argv {
  return ['/bin/sh', '-c', 'rm -f -- "$1"; shift; exec "$@"', 'sh', path, ...server];
}
