/** The two ways into a testbed: on-host/enter.c, and nsenter(1) where that was not compiled. */
import { cpSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { projectDir } from './rootfs.ts';

export const ways = ['enter', 'nsenter'] as const;
export type Way = (typeof ways)[number];

/** The words of an execute command, made to go that way. The build has to have compiled enter.c. */
export function goingBy(way: Way, words: readonly string[]): string[] {
  const at = words.indexOf('-E');
  if (at < 0)
    throw new Error('on-host/enter.c is not compiled; install gcc and libc6-dev and run: npm run build');
  return way === 'enter' ? [...words] : words.toSpliced(at, 2);
}

/**
 * Puts our package into a new folder as it is where there was no C compiler, and gives the path of its program. Whoever
 * calls removes the folder.
 */
export function uncompiledProgram(folder: string): string {
  for (const part of ['bin', 'dist', 'src/on-host', 'src/in-testbed', 'package.json']) {
    cpSync(join(projectDir, part), join(folder, part), { recursive: true, verbatimSymlinks: true });
  }
  for (const name of readdirSync(join(folder, 'dist'))) {
    if (name.endsWith(`-${process.arch}`)) rmSync(join(folder, 'dist', name));
  }
  return join(folder, 'bin/virt-ts-unshare');
}
