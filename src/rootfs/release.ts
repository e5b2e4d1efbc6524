import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';

/** As in autopkgtest-virt-unshare 6.0: what is not uploaded yet runs on unstable, an add-on on its release. */
export function resolveRelease(name: string): string {
  if (/^(experimental|rc-buggy|UNRELEASED)/.test(name)) return 'unstable';
  return name.replace(/-(backports|security)$/, '');
}

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

export function hostRelease(): string | undefined {
  const name = osReleaseValue(readOsRelease(), 'VERSION_CODENAME');
  return name === undefined || name === '' ? undefined : name;
}

const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: 'i386',
  arm: 'armhf',
  ppc64: endianness() === 'LE' ? 'ppc64el' : 'ppc64',
  mipsel: endianness() === 'LE' ? 'mipsel' : 'mips',
};

export function hostArchitecture(): string {
  return ARCHITECTURES[process.arch] ?? process.arch;
}
