/** The architectures of container images, which have the names of Go, and those of Debian. */

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string | undefined;
}

/** Where the names are different; for arm the variant decides. */
const NAMES: Readonly<Record<string, string>> = {
  '386': 'i386',
  loong64: 'loong64',
  mips64le: 'mips64el',
  mipsle: 'mipsel',
  ppc64le: 'ppc64el',
};

/** Debian's name of the platform's architecture. */
export function debianArchitecture({ architecture, variant }: Platform): string {
  if (architecture === 'arm') return variant === 'v5' || variant === 'v6' ? 'armel' : 'armhf';
  return NAMES[architecture] ?? architecture;
}

export function fits(platform: Platform, arch: string): boolean {
  return platform.os === 'linux' && debianArchitecture(platform) === arch;
}

export function showPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join('/');
}
