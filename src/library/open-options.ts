import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { reasonOf, UsageError } from '../errors.ts';
import type { OnEvent } from '../events/types.ts';
import { isHostname } from '../network/hosts.ts';
import type { Network } from '../network/laboratory.ts';
import type { LinkQuality } from '../network/link.ts';
import { randomBytes } from '../random.ts';
import { hostArchitecture } from '../rootfs/release.ts';
import { imageNamed } from '../rootfs/source.ts';
import type { InitChoice } from '../testbed/init-choice.ts';
import type { Scratch, TestbedOptions } from '../testbed/types.ts';
import {
  checkCount,
  checkList,
  checkNames,
  checkNull,
  checkText,
  choice,
  type Names,
  notAllowed,
  seconds,
} from './checks.ts';

/** The options of a testbed. All may be omitted. */
export interface OpenOptions {
  /** Path of a tarball, compressed or not, or of a directory, which is only read, or the name of an image. Default: found or built by `release`. */
  readonly rootfs?: string;
  /** Code name or suite, such as `trixie`, or the name of an image. Default: the host's own. Not with `rootfs`. */
  readonly release?: string;
  /** Debian's name of an architecture. Default: the host's own. Not with `rootfs`. */
  readonly arch?: string;
  /** The package mirror from which a root filesystem is built. Default: the host's mirrors. */
  readonly mirror?: string;
  /**
   * Where the testbed's changes are kept: in memory (`tmpfs`, with a size as in tmpfs(5): `tmpfs:500m`, `tmpfs:50%`) or in a
   * directory on disk (an absolute path). Default: `auto`, in memory unless there is little of it.
   */
  readonly scratch?: 'auto' | 'tmpfs' | `tmpfs:${string}` | `/${string}`;
  /** Default: `overlay`. `copy`: a plain tree, for tests that rename(2) directories of the root filesystem; opens slowly. */
  readonly mode?: 'overlay' | 'copy';
  /**
   * Default `host`. `none`: loopback only. `private`: a network of its own with access to the outside. A Network: a place in
   * a laboratory, with a real address.
   */
  readonly network?: 'host' | 'none' | 'private' | Network;
  /** In a Network: at most one of each of its subnets. Default: the lowest free one of each. */
  readonly address?: string | readonly string[];
  /** In a Network: addresses of name servers. Default: none, or with `outside` those of the host. */
  readonly dns?: string | readonly string[];
  /** In a Network: what its link does to packets. Default: nothing. */
  readonly link?: LinkQuality;
  /** In a Network: access to the outside too. Default: false, true with `publish`. */
  readonly outside?: boolean;
  /** Ports that the host can reach in a private network, such as `8080:80` or `127.0.0.1:5353:53/udp`. */
  readonly publish?: readonly string[];
  /**
   * Files and directories of the host that are seen in the testbed; `outside` may be relative, `inside` is absolute. Root of
   * the testbed may write there what the caller may write, except with `readOnly`.
   */
  readonly bind?: readonly {
    /** Path on the host, absolute or relative to the working directory. */
    readonly outside: string;
    /** Absolute path in the testbed; it is made there if it is missing. */
    readonly inside: string;
    /** Nothing in the testbed can write there, and root of the testbed has the permissions of others. Default: false. */
    readonly readOnly?: boolean;
  }[];
  /**
   * Pid 1. `true`: the init of the root filesystem, such as systemd; `auto`: the same where it has one and this machine has a cgroup for
   * it; `systemd`; or the path of a program. `open` resolves when it has booted. Default: false, and with
   * `network: 'private'` auto. See docs/init.md.
   */
  readonly init?: boolean | 'auto' | 'systemd' | `/${string}`;
  /** Its host name: lower-case letters, digits and hyphens. In a Network it is unique. Default: a random one for all with the same options. */
  readonly hostname?: string;
  /** Seconds that a command waits for a process that reads its output but makes no progress. Default: 10. */
  readonly drainTimeout?: number;
  /** Seconds for one copy. Default: 300. */
  readonly copyTimeout?: number;
  /** Bytes that one copy out of the testbed, or one archive into it, may have; holes count. Default: 64 GiB. */
  readonly maxCopyBytes?: number;
  /** Files that one copy out of the testbed, or one archive into it, may have. Default: one million. */
  readonly maxCopyEntries?: number;
  /** Keep packages that apt downloads in the cache, and have them ready in later testbeds. Default: false. Not with `mode: 'copy'`. */
  readonly rememberPackages?: boolean;
  /**
   * Processes and threads of the testbed. Default: 16384, or half of what the caller may have, or one for each MiB of memory,
   * whichever is least.
   */
  readonly maxProcesses?: number;
  /**
   * Bytes of memory for its files: half for what it writes, a quarter for /dev/shm, a tenth for /run. Default: the machine's memory, or
   * what the control group of this process may have.
   */
  readonly maxMemory?: number;
  /**
   * Gets an event for each thing that happens in this testbed, see docs/evidence.md, and in those that are opened from its snapshots.
   * It must not throw. `eventFile` makes one that writes a file.
   */
  readonly onEvent?: OnEvent;
  /** Aborting ends the opening with its reason, also while a root filesystem is built; a testbed that is open stays open. */
  readonly signal?: AbortSignal;
}

type Bind = NonNullable<OpenOptions['bind']>[number];

const BIND_NAMES: Names<Required<Bind>> = { outside: true, inside: true, readOnly: true };

const OPEN_NAMES: Names<Required<OpenOptions>> = {
  ...{ rootfs: true, release: true, arch: true, mirror: true, scratch: true, mode: true },
  ...{ network: true, address: true, dns: true, link: true, outside: true, publish: true },
  ...{ bind: true, hostname: true, init: true, rememberPackages: true },
  ...{ drainTimeout: true, copyTimeout: true, maxCopyBytes: true, maxCopyEntries: true },
  ...{ maxProcesses: true, maxMemory: true },
  ...{ onEvent: true, signal: true },
};

/** @throws UsageError that names the option */
export function testbedFromOptions(options: OpenOptions): TestbedOptions {
  checkNames('open', options, OPEN_NAMES);
  const { rootfs, release, arch, mirror } = options;
  for (const [name, value] of Object.entries({ release, arch, mirror })) checkText(name, value);
  for (const [name, value] of Object.entries({ release, arch })) {
    if (rootfs === undefined || value === undefined) continue;
    throw new UsageError(`rootfs and ${name} exclude each other`, {
      code: 'WRONG_OPTION',
      remedy: 'give one of them',
    });
  }
  const { rememberPackages = false, mode = 'overlay' } = options;
  if (typeof rememberPackages !== 'boolean')
    throw notAllowed('rememberPackages', rememberPackages, 'give true or false');
  if (rememberPackages && mode === 'copy') {
    throw new UsageError("rememberPackages and mode 'copy' exclude each other", {
      code: 'WRONG_OPTION',
      remedy: 'give one of them',
    });
  }
  checkList('bind', options.bind, 'give a list of { outside, inside }');
  checkList('publish', options.publish, "give a list, such as ['8080:80']");
  for (const name of ['maxCopyBytes', 'maxCopyEntries'] as const) checkCount(name, options[name], Infinity);
  for (const name of ['maxProcesses', 'maxMemory'] as const) checkCount(name, options[name]);
  if (options.onEvent !== undefined && typeof options.onEvent !== 'function') {
    throw notAllowed('onEvent', options.onEvent, 'give a function');
  }
  const others = {
    root: {
      ...(rootfs === undefined ? {} : rootChoice(rootfs)),
      ...{ release, arch, mirror },
    },
    binds: (options.bind ?? []).map(bindOf),
    scratch: scratchOf(options.scratch ?? 'auto'),
    mode: choice('mode', mode, ['overlay', 'copy']),
    init: initOf(options.init ?? (options.network === 'private' ? 'auto' : false)),
    drainTimeout: seconds('drainTimeout', options.drainTimeout ?? 10),
    copyTimeout: seconds('copyTimeout', options.copyTimeout ?? 300),
    maxCopyBytes: options.maxCopyBytes,
    maxCopyEntries: options.maxCopyEntries,
    rememberPackages,
    maxProcesses: options.maxProcesses,
    maxMemory: options.maxMemory,
  };
  // Last, because it takes a name and addresses in a Network.
  return { ...others, ...networkOf(options) };
}

function bindOf(bind: Bind): TestbedOptions['binds'][number] {
  if (typeof bind === 'string') {
    throw notAllowed(
      'bind',
      bind,
      'write { outside, inside } for each, and readOnly: true where that is wanted',
    );
  }
  checkNames('bind', bind, BIND_NAMES);
  const { outside, inside, readOnly = false } = bind;
  checkText('outside of bind', outside ?? null, 'name a file or directory of the host');
  if (typeof inside !== 'string' || !inside.startsWith('/')) {
    throw notAllowed('inside of bind', inside, 'give an absolute path');
  }
  checkNull('inside of bind', inside);
  if (typeof readOnly !== 'boolean') throw notAllowed('readOnly of bind', readOnly, 'give true or false');
  return { outside: resolve(outside), inside, readOnly };
}

function initOf(init: OpenOptions['init']): InitChoice | undefined {
  if (init === undefined || init === false) return undefined;
  if (init === true) return 'image';
  if (init === 'auto' || init === 'systemd' || (typeof init === 'string' && init.startsWith('/')))
    return init;
  throw notAllowed('init', init, "give true, false, 'auto', 'systemd' or an absolute path");
}

function networkOf(options: OpenOptions): Pick<TestbedOptions, 'network' | 'hostname' | 'publish'> {
  const { network = 'host', hostname, publish = [], address, dns, link, outside } = options;
  if (hostname !== undefined && !(typeof hostname === 'string' && isHostname(hostname))) {
    throw notAllowed('hostname', hostname, 'use small letters, digits and hyphens');
  }
  if (typeof network === 'string') {
    if (address !== undefined || dns !== undefined || link !== undefined || outside !== undefined) {
      throw new UsageError('address, dns, link and outside need a Network', {
        code: 'WRONG_OPTION',
        remedy: 'give it as network',
      });
    }
    if (publish.length > 0 && network !== 'private') {
      throw new UsageError("publish needs a network of the testbed's own", {
        code: 'WRONG_OPTION',
        remedy: "give network: 'private'",
      });
    }
    return { network: choice('network', network, ['host', 'none', 'private']), hostname, publish };
  }
  if (network === null || typeof network.member !== 'function') {
    throw notAllowed('network', network, 'give host, none, private or a Network');
  }
  if (outside !== undefined && typeof outside !== 'boolean')
    throw notAllowed('outside', outside, 'give true or false');
  const name = hostname ?? `host-${randomBytes(3).toString('hex')}`;
  const member = network.member({
    hostname: name,
    publish,
    outside: outside ?? publish.length > 0,
    ...(address === undefined ? {} : { address: addressesOf('address', address) }),
    ...(dns === undefined ? {} : { dns: addressesOf('dns', dns) }),
    ...(link === undefined ? {} : { quality: link }),
  });
  return { network: member, hostname: name, publish: [] };
}

function addressesOf(name: string, value: string | readonly string[]): readonly string[] {
  const all: unknown = typeof value === 'string' ? [value] : value;
  if (Array.isArray(all) && all.every((each) => typeof each === 'string')) return all;
  throw notAllowed(name, value, 'give an address, or a list of addresses');
}

function rootChoice(path: string): { tarball: string } | { rootfs: string } {
  checkText('rootfs', path, 'give the path of a tarball or a directory');
  try {
    if (imageNamed(path, hostArchitecture(), process.env) !== undefined) return { rootfs: path };
    return statSync(path).isDirectory() ? { rootfs: resolve(path) } : { tarball: resolve(path) };
  } catch (cause) {
    throw new UsageError(`rootfs ${path} cannot be used: ${reasonOf(cause)}`, {
      code: 'NO_ROOT_FILESYSTEM',
      remedy: 'name a tarball or a directory',
      cause,
    });
  }
}

function scratchOf(text: string): Scratch {
  checkText('scratch', text);
  if (text === 'auto') return { kind: 'auto' };
  if (text.startsWith('/')) return { kind: 'directory', path: resolve(text) };
  const [, size] = /^tmpfs(?::([1-9]\d*[kKmMgG%]?))?$/.exec(text) ?? [undefined, null];
  if (size === null) throw notAllowed('scratch', text, 'give auto, tmpfs, tmpfs:SIZE or an absolute path');
  return { kind: 'tmpfs', size };
}
