import { compileCommand } from '../helper.ts';
import { HOST_TOOLS } from '../tools.ts';
import { appArmorRemedy } from './apparmor.ts';
import type { Attempt, Facts } from './facts.ts';

export interface Check {
  readonly name: string;
  /** `fails`: the server does not work. `limited`: it works without what `detail` names. */
  readonly state: 'works' | 'limited' | 'fails';
  readonly detail: string;
  readonly remedy?: string;
}

export interface Diagnosis {
  readonly works: boolean;
  readonly checks: readonly Check[];
}

export function diagnose(facts: Facts): Diagnosis {
  const first = [
    ...system(facts),
    ...tools(facts),
    nativeProgram(facts),
    userNamespaces(facts),
    ...(facts.userNamespace === undefined ? [mountInside(facts)] : []),
    ids(facts),
  ];
  const checks = [
    ...first,
    ...testbed(
      facts,
      first.some(({ state }) => state === 'fails'),
    ),
    cgroup(facts),
    ...devices(facts),
    architectures(facts),
    rootFilesystem(facts),
  ];
  return { works: checks.every(({ state }) => state !== 'fails'), checks };
}

const works = (name: string, detail: string): Check => ({ name, state: 'works', detail });
const sysctl = (name: string, value: string) =>
  `as root: sysctl -w ${name}=${value} (and in a file of /etc/sysctl.d, to last)`;
const install = (name: string) => `as root: apt-get install ${name}`;

function system({ kernel, container, nodeVersion }: Facts): Check[] {
  return [
    works(
      'system',
      `Linux ${kernel}, Node ${nodeVersion}, ${container === undefined ? 'in no container' : `in a container (${container})`}`,
    ),
  ];
}

function tools({ tools: found }: Facts): Check[] {
  const missing = HOST_TOOLS.filter(
    ({ name, need }) => (need === 'always' || need === 'essential') && !found.has(name),
  );
  const packages = [...new Set(missing.map((one) => one.package))].join(' ');
  const needed: Check =
    missing.length === 0
      ? works('tools', `all there; ${found.get('unshare') ?? ''}, ${found.get('tar') ?? ''}`)
      : {
          name: 'tools',
          state: 'fails',
          detail: `missing: ${missing.map(({ name }) => name).join(', ')}`,
          remedy: install(packages),
        };
  const useful = HOST_TOOLS.filter(({ need }) => need === 'feature' || need === 'network').map(
    ({ name, package: debianPackage, use, substitute }): Check => {
      const anyOf = substitute === undefined ? [name] : [name, substitute];
      const there = anyOf.find((one) => found.has(one));
      if (there !== undefined) return works(there, found.get(there) ?? '');
      const detail = `not installed; needed for ${use}`;
      return { name: anyOf.join(' or '), state: 'limited', detail, remedy: install(debianPackage) };
    },
  );
  return [needed, ...useful];
}

function nativeProgram({ package: { folder, helper } }: Facts): Check {
  const name = 'native program';
  if (helper !== undefined) return works(name, helper);
  const remedy = `${install('gcc libc6-dev')}; then: ${compileCommand(folder)}`;
  return { name, state: 'fails', detail: 'missing, or may not be executed', remedy };
}

function userNamespaces({ userNamespace, sysctls, container }: Facts): Check {
  const name = 'user namespaces';
  if (userNamespace === undefined) return works(name, `at most ${sysctls.get('user.max_user_namespaces')}`);
  const remedy =
    sysctls.get('user.max_user_namespaces') === '0'
      ? sysctl('user.max_user_namespaces', '15000')
      : sysctls.get('kernel.unprivileged_userns_clone') === '0'
        ? sysctl('kernel.unprivileged_userns_clone', '1')
        : container !== undefined
          ? `let the container make user namespaces, such as: ${container} run --security-opt seccomp=unconfined`
          : 'use a kernel with CONFIG_USER_NS=y that lets this user make user namespaces';
  return { name, state: 'fails', detail: userNamespace, remedy };
}

/** AppArmor lets an unconfined program make a user namespace and then takes its capabilities away. */
function mountInside({
  mountInside: failure,
  sysctls,
  container,
  holder,
  probe,
  package: own,
}: Facts): Check {
  const name = 'mounts in a user namespace';
  // AppArmor may allow the helper what it denies unshare(1).
  if (failure === undefined || (holder === undefined && probe !== undefined)) return works(name, 'allowed');
  const remedy =
    sysctls.get('kernel.apparmor_restrict_unprivileged_userns') === '1'
      ? appArmorRemedy(own.helper ?? `${own.folder}/dist/helper-*`)
      : container !== undefined
        ? `let the container mount, such as: ${container} run --security-opt apparmor=unconfined --security-opt seccomp=unconfined`
        : 'look in the kernel log (dmesg) for the security module that denied it';
  return { name, state: 'fails', detail: failure, remedy };
}

function ids({ ids: count, freeRange: free, user, tools: found }: Facts): Check {
  const name = 'user ids of a testbed';
  if (count > 1) return works(name, String(count));
  const helpers = found.has('newuidmap') && found.has('newgidmap');
  const range = `usermod --add-subuids ${free} --add-subgids ${free} ${user.name}`;
  return {
    name,
    state: 'limited',
    detail: 'root alone: no other owner of files, no ordinary user, most packages do not install',
    remedy: `as root: ${helpers ? range : `apt-get install uidmap && ${range}`}`,
  };
}

/** @param isExplained whether a check before it fails */
function testbed({ holder, probe, container }: Facts, isExplained: boolean): Check[] {
  const name = 'namespaces of a testbed';
  if (holder !== undefined || probe === undefined) {
    const failure = { name, state: 'fails', detail: holder ?? 'not tried' } as const;
    return [isExplained ? { ...failure, remedy: 'fix the failures above first' } : failure];
  }
  if (probe.size === 0) {
    const detail = 'unshare(1) could not make them';
    return [
      {
        name,
        state: 'fails',
        detail,
        remedy: 'raise the limits user.max_*_namespaces (sysctl), all of them',
      },
    ];
  }
  const unmask =
    container === undefined
      ? 'unmount what lies over parts of /proc on this machine'
      : `let the container see all of /proc: ${container === 'podman' ? 'podman run --security-opt unmask=ALL' : 'docker run --security-opt systempaths=unconfined'}`;
  const old = 'use Linux 5.11 or newer for an overlay in a user namespace';
  const one = (key: string, title: string, remedy: string, state: 'limited' | 'fails' = 'fails'): Check => {
    const failure: Attempt = probe.has(key) ? probe.get(key) : 'not tried';
    return failure === undefined ? works(title, 'mounted') : { name: title, state, detail: failure, remedy };
  };
  return [
    works(name, 'made'),
    one('proc', 'a /proc of its own', unmask, 'limited'),
    one('devpts', 'terminals of its own', 'use a kernel with devpts in user namespaces'),
    one('sys', 'the /sys of this machine', 'mount /sys on this machine'),
    one('tmpfs', 'tmpfs', 'use a kernel that mounts tmpfs in a user namespace'),
    ...overlays(
      one('overlay-memory', 'overlay with scratch in memory', ''),
      one('overlay-disk', 'overlay with scratch on disk', ''),
      old,
    ),
    ...[
      one(
        'network',
        'a network of its own',
        'install iproute2, and raise user.max_net_namespaces',
        'limited',
      ),
    ].map((check) => (check.state === 'works' ? { ...check, detail: 'made' } : check)),
  ];
}

/** One of them is enough; the server chooses. */
function overlays(memory: Check, disk: Check, old: string): Check[] {
  if (memory.state === 'works' && disk.state === 'works') return [memory, disk];
  if (memory.state === 'works') {
    const remedy = 'put the cache (XDG_CACHE_HOME) or --scratch on ext4, xfs, btrfs or tmpfs';
    return [memory, { ...disk, state: 'limited', remedy }];
  }
  if (disk.state === 'works') {
    const remedy = 'use Linux 6.6 or newer: a tmpfs has user xattrs there; until then the scratch is on disk';
    return [{ ...memory, state: 'limited', remedy }, disk];
  }
  const remedy = `${old}; until then virt-ts-unshare --mode=copy`;
  return [
    { ...memory, remedy },
    { ...disk, remedy },
  ];
}

function cgroup({ cgroup: found }: Facts): Check {
  const name = "a cgroup for an image's own init";
  if (found.path !== undefined) return works(name, found.path);
  return { name, state: 'limited', detail: `${found.why}; needed for --init`, remedy: found.remedy };
}

function devices({ fuse, tun }: Facts): Check[] {
  const device = (name: string, failure: Attempt, module: string, use: string): Check =>
    failure === undefined
      ? works(name, 'can be opened')
      : {
          name,
          state: 'limited',
          detail: `${failure}; needed for ${use}`,
          remedy: `as root: modprobe ${module} && chmod 666 ${name}`,
        };
  return [
    device('/dev/fuse', fuse, 'fuse', 'FUSE in run --host'),
    device('/dev/net/tun', tun, 'tun', '--network=private'),
  ];
}

function architectures({ executions }: Facts): Check {
  const name = 'other architectures';
  const listed = [...executions];
  const those = (wanted: (kind: string) => boolean) =>
    listed.flatMap(([arch, { kind }]) => (wanted(kind) ? [arch] : [])).join(', ');
  const native = those((kind) => kind === 'native');
  const emulated = those((kind) => kind === 'own' || kind === 'host-wide');
  const able = [native && `${native} by the processor`, emulated && `${emulated} by qemu`].filter(Boolean);
  const failure = listed.map(([, execution]) => execution).find((each) => each.kind === 'none');
  if (failure?.kind !== 'none') return works(name, able.join('; '));
  return {
    name,
    state: 'limited',
    detail: `not ${those((kind) => kind === 'none')}: ${failure.why}`,
    remedy: failure.remedy.startsWith('install the package ')
      ? install(failure.remedy.slice('install the package '.length))
      : failure.remedy,
  };
}

function rootFilesystem({ root, tools: found }: Facts): Check {
  const name = 'root filesystem';
  if ('path' in root && root.path !== undefined) return works(name, root.path);
  if ('path' in root && found.has('mmdebstrap')) return works(name, 'will be built at the first open');
  return {
    name,
    state: 'limited',
    detail: 'path' in root ? 'none yet, and no mmdebstrap to build one' : root.failure,
    remedy: `give --tarball or --rootfs, or ${install('mmdebstrap')}`,
  };
}
