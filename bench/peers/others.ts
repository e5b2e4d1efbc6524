/** Tools that are no virt servers: each measured at what it does of the same, on the same unpacked root filesystem. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { timeProgram, timeRepeated } from '../client.ts';
import type { Results } from '../results.ts';

export interface OtherPeer {
  readonly name: string;
  /** Debian's package. */
  readonly package: string;
  readonly program: string;
  readonly needsRoot: boolean;
  measure(root: string, results: Results): Promise<void>;
}

/** Options of podman and of its runs. crun, its default, refuses a machine that has cgroups of both versions; a container may
 * lack the right to raise limits. */
export const PODMAN = {
  global: ['--cgroup-manager=cgroupfs', '--runtime=runc'],
  run: ['--ulimit=nofile=1024:1024', '--ulimit=nproc=1024:1024'],
} as const;

const life = (name: string, argv: (root: string) => string[]) => async (root: string, results: Results) => {
  results.add(name, 'start + true + exit', await timeProgram(argv(root)));
};

export const OTHERS: readonly OtherPeer[] = [
  {
    name: 'bubblewrap',
    package: 'bubblewrap',
    program: 'bwrap',
    needsRoot: false,
    measure: life('bubblewrap', (root) => [
      ...[
        'bwrap',
        '--unshare-all',
        '--ro-bind',
        root,
        '/',
        '--tmpfs',
        '/tmp',
        '--proc',
        '/proc',
        '--dev',
        '/dev',
      ],
      ...['--', '/bin/true'],
    ]),
  },
  {
    name: 'systemd-nspawn',
    package: 'systemd-container',
    program: 'systemd-nspawn',
    needsRoot: true,
    // Without systemd as the host's pid 1, no process registers it or makes a scope.
    measure: life('systemd-nspawn', (root) => [
      ...['systemd-nspawn', '--quiet', '--volatile=overlay', '--register=no', '--keep-unit', '--pipe'],
      ...['-D', root, '--', '/bin/true'],
    ]),
  },
  {
    name: 'podman',
    package: 'podman',
    program: 'podman',
    needsRoot: true,
    measure: life('podman', (root) => [
      ...['podman', ...PODMAN.global, 'run', '--rm', '--network=none', ...PODMAN.run],
      ...['--rootfs', `${root}:O`, '/bin/true'],
    ]),
  },
  {
    name: 'schroot',
    package: 'schroot',
    program: 'schroot',
    needsRoot: true,
    measure: async (root, results) => {
      const config = '/etc/schroot/chroot.d/virt-ts-unshare-bench';
      writeFileSync(
        config,
        `[virt-ts-unshare-bench]\ntype=directory\ndirectory=${root}\nunion-type=overlay\nroot-users=root\nprofile=minimal\n`,
      );
      const session = `bench-${process.pid}`;
      const schroot = (...words: string[]) => timeProgram(['schroot', '--quiet', ...words]);
      results.add(
        'schroot',
        'open',
        await schroot('-c', 'virt-ts-unshare-bench', '--begin-session', '-n', session),
      );
      const run = ['schroot', '--quiet', '--run-session', '-c', session, '-d', '/', '--', 'true'];
      results.add('schroot', 'run true', await timeRepeated(run, 5, { env: process.env }));
      results.add('schroot', 'close', await schroot('--end-session', '-c', session));
    },
  },
];

export function toolOf(name: string): OtherPeer {
  const tool = OTHERS.find((each) => each.name === name);
  if (tool === undefined) throw new Error(`no tool ${name}`);
  return tool;
}

/** Why a peer cannot be measured here, as the end of a sentence; undefined when it can. */
export function whyMissing(peer: OtherPeer): string | undefined {
  const found = (process.env.PATH ?? '').split(':').some((folder) => existsSync(join(folder, peer.program)));
  if (!found) return `not installed (Debian package ${peer.package})`;
  if (peer.needsRoot && process.getuid?.() !== 0) return 'needs root';
  return undefined;
}
