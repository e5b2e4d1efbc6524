/** What to do about a failed build, by the words of apt that mmdebstrap passes on. */
import { option } from '../option-words.ts';

const REMEDIES: readonly (readonly [words: RegExp, remedy: string | (() => string)])[] = [
  [
    /Release file .* is (expired|not valid yet)/,
    () =>
      `correct the clock, or give a mirror that is kept up to date, or accept this one: ${option('mirror', 'deb [check-valid-until=no] MIRROR RELEASE main')}`,
  ],
  [
    /does not have a Release file|Failed to fetch .*\b404\b|is not \(yet\) available \(.*404/,
    'give a release, and an architecture, that the mirror has, or a mirror that has it; Debian keeps old releases in an archive of their own',
  ],
  [
    /File has unexpected size|Hash Sum mismatch|Mirror sync in progress/,
    () => `try again later, when the mirror is complete, or give another one with ${option('mirror')}`,
  ],
  [
    /NO_PUBKEY|is not signed|couldn't be verified|GPG error/,
    () =>
      `install the keyring package of that distribution, or give ${option('mirror', 'deb [signed-by=KEYRING] MIRROR RELEASE main')}`,
  ],
  [
    /Could not resolve|Could not connect|Connection (timed out|refused)|Temporary failure resolving/,
    () =>
      `look at the network and the proxy of this machine, or give another mirror with ${option('mirror')}`,
  ],
  [/arch-test/, 'install the package arch-test'],
  [
    /no entry in \/etc\/sub[ug]id|newuidmap|failed to parse \/etc\/subuid/,
    'virt-ts-unshare doctor names how to get subordinate ids',
  ],
  [
    /external solver/,
    'use a newer apt: that of this machine does not understand the configuration of the release',
  ],
  [
    /No space left on device|Disk quota exceeded/,
    'free some space in /tmp, or set TMPDIR to a directory with more',
  ],
];

const any = () =>
  `give another release or mirror, or an existing tarball (${option('tarball')}, or rootfs import)`;

export function buildRemedy(reason: string | undefined): string {
  const [, remedy = any] = REMEDIES.find(([words]) => words.test(reason ?? '')) ?? [];
  return `${typeof remedy === 'string' ? remedy : remedy()}; ${option('debug')} shows the whole output`;
}
