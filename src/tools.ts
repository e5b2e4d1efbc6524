/** The host programs that this program starts: for the checks before the first `ok`, the doctor and packages. */

interface HostTool {
  readonly name: string;
  readonly package: string;
  /**
   * `always`: no testbed without it. `essential`: the same, but every Debian system has it, so only the doctor looks.
   * `network`: no private network. `ranges`: subordinate ids. `feature`: needed for `use` only. `tarball`: a rare
   * compression. `substitute`: used where another program is missing.
   */
  readonly need: 'always' | 'essential' | 'network' | 'ranges' | 'feature' | 'tarball' | 'substitute';
  readonly use: string;
  readonly substitute?: string;
}

const tool = (
  name: string,
  debianPackage: string,
  need: HostTool['need'],
  use: string,
  substitute?: string,
): HostTool => ({
  ...{ name, package: debianPackage, need, use },
  ...(substitute === undefined ? {} : { substitute }),
});

const BASES = 'unpacking root filesystems';
const NETWORKS = '--network=none and --network=private';
const OUTSIDE = '--network=private';

export const HOST_TOOLS: readonly HostTool[] = [
  tool('flock', 'util-linux', 'always', BASES),
  tool('mkdir', 'coreutils', 'essential', BASES),
  tool('rm', 'coreutils', 'essential', BASES),
  tool('chown', 'coreutils', 'essential', 'a scratch on disk'),
  tool('find', 'findutils', 'essential', 'a scratch on disk'),
  tool('sh', 'dash', 'essential', '--network=private and laboratories'),
  tool('cp', 'coreutils', 'essential', '--mode=copy'),
  tool('unshare', 'util-linux', 'essential', OUTSIDE),
  tool('nsenter', 'util-linux', 'essential', OUTSIDE),
  tool('setpriv', 'util-linux', 'essential', OUTSIDE),
  tool('tar', 'tar', 'always', BASES),
  tool('newuidmap', 'uidmap', 'ranges', 'more than one user in a testbed'),
  tool('newgidmap', 'uidmap', 'ranges', 'more than one user in a testbed'),
  tool('mmdebstrap', 'mmdebstrap', 'feature', 'building root filesystems'),
  tool('zstd', 'zstd', 'feature', 'tarballs compressed with zstd'),
  tool('xz', 'xz-utils', 'feature', 'tarballs compressed with xz'),
  tool('ip', 'iproute2', 'network', NETWORKS),
  tool('tc', 'iproute2', 'network', 'the latency, loss and bandwidth of a link'),
  tool('pasta', 'passt', 'feature', '--network=private', 'slirp4netns'),
  tool('slirp4netns', 'slirp4netns', 'substitute', '--network=private'),
  tool('autopkgtest', 'autopkgtest', 'feature', 'being driven by autopkgtest'),
  tool('pigz', 'pigz', 'tarball', 'tarballs compressed with gzip'),
  tool('gzip', 'gzip', 'tarball', 'tarballs compressed with gzip'),
  tool('lbzip2', 'lbzip2', 'tarball', 'tarballs compressed with bzip2'),
  tool('pbzip2', 'pbzip2', 'tarball', 'tarballs compressed with bzip2'),
  tool('bzip2', 'bzip2', 'tarball', 'tarballs compressed with bzip2'),
  tool('lz4', 'lz4', 'tarball', 'tarballs compressed with lz4'),
  tool('plzip', 'plzip', 'tarball', 'tarballs compressed with lzip'),
  tool('lzip', 'lzip', 'tarball', 'tarballs compressed with lzip'),
];

export function packageOf(program: string): string {
  return HOST_TOOLS.find(({ name }) => name === program)?.package ?? program;
}

export function neededTools(ownNetwork: boolean): readonly HostTool[] {
  return HOST_TOOLS.filter(({ need }) => need === 'always' || (ownNetwork && need === 'network'));
}
