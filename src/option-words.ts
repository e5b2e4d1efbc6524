/**
 * The options of a testbed in messages. Code below the front ends knows an option by its name on the command line; the words are those
 * of the front end of this process.
 */
import { shellQuote } from './log.ts';

/** What the library has for an option of the command line. */
export const IN_LIBRARY = {
  arch: 'arch',
  bind: 'outside of bind',
  'bind-ro': 'outside of bind',
  debug: 'VIRT_TS_UNSHARE_DEBUG=1',
  init: 'init',
  'max-copy': 'maxCopyBytes',
  'max-memory': 'maxMemory',
  'max-processes': 'maxProcesses',
  mirror: 'mirror',
  mode: 'mode',
  network: 'network',
  publish: 'publish',
  release: 'release',
  rootfs: 'rootfs',
  scratch: 'scratch',
  tarball: 'rootfs',
} as const;

let isCommandLine = false;

/** To be called by the program before it does anything. */
export function useCommandLineWords(isUsed = true): void {
  isCommandLine = isUsed;
}

/** `--init=none`, or `init: false` in the library. To be called when the message is made: only then the front end is known. */
export function option(name: keyof typeof IN_LIBRARY, value?: string): string {
  if (isCommandLine) return value === undefined ? `--${name}` : `--${name}=${shellQuote(value)}`;
  const own = IN_LIBRARY[name];
  if (value === undefined) return own;
  return name === 'init' && value === 'none' ? 'init: false' : `${own}: '${value}'`;
}

/** The time of a copy, which is no option on the command line. */
export function copyTimeoutWords(): string {
  return isCommandLine ? 'AUTOPKGTEST_VIRT_COPY_TIMEOUT' : 'copyTimeout';
}
