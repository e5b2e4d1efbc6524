/** Names of releases and architectures. */
import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';

/**
 * The release whose root filesystem serves for a name that a changelog may have: as autopkgtest-virt-unshare 6.0 does it,
 * what is not uploaded yet runs on unstable, and an add-on runs on the release that it is added to.
 */
export function resolveRelease(name: string): string {
  if (/^(experimental|rc-buggy|UNRELEASED)/.test(name)) return 'unstable';
  return name.replace(/-(backports|security)$/, '');
}

/** The value of a variable in the text of os-release(5), unquoted. */
export function osReleaseValue(text: string, name: string): string | undefined {
  for (const line of text.split('\n')) {
    const [, key, value] = /^\s*([A-Z0-9_]+)=(.*)$/.exec(line) ?? [];
    if (key !== name || value === undefined) continue;
    return value
      .trim()
      .replace(/^(["'])(.*)\1$/, '$2')
      .replaceAll(/\\(.)/g, '$1');
  }
  return undefined;
}

export function readOsRelease(): string {
  for (const path of ['/etc/os-release', '/usr/lib/os-release']) {
    try {
      return readFileSync(path, 'utf8');
    } catch {}
  }
  return '';
}

/** The code name of the host's own release (testing and unstable have one too); undefined when it says none. */
export function hostRelease(): string | undefined {
  const name = osReleaseValue(readOsRelease(), 'VERSION_CODENAME');
  return name === undefined || name === '' ? undefined : name;
}

/** Debian's names where Node's differ. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: 'i386',
  arm: 'armhf',
  ppc64: endianness() === 'LE' ? 'ppc64el' : 'ppc64',
  mipsel: endianness() === 'LE' ? 'mipsel' : 'mips',
};

/** Debian's name of the architecture that we run on. */
export function hostArchitecture(): string {
  return ARCHITECTURES[process.arch] ?? process.arch;
}
