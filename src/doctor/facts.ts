/** The facts for the doctor: by attempts, and by reading what explains a failure. Changes nothing permanently. */
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { release, userInfo } from 'node:os';
import { messageOf } from '../errors.ts';
import { failureText, helperPath } from '../helper.ts';
import { type Argv, runHost } from '../host.ts';
import type { Log } from '../log.ts';
import { readCaller } from '../namespaces/caller.ts';
import { type FoundCgroup, findCgroup } from '../namespaces/cgroups.ts';
import { type Execution, executionOf } from '../namespaces/execution.ts';
import { Holder } from '../namespaces/holder.ts';
import { chooseIdMaps, type IdMaps } from '../namespaces/idmap.ts';
import { machineNamed } from '../namespaces/machines.ts';
import type { Step } from '../namespaces/steps.ts';
import * as steps from '../namespaces/steps.ts';
import { findProgram } from '../processes/find.ts';
import { openCache } from '../rootfs/cache.ts';
import { hostArchitecture } from '../rootfs/release.ts';
import { chooseRoot } from '../rootfs/source.ts';
import { packageRoot } from '../scripts.ts';
import { overlayRoot } from '../testbed/mounts.ts';
import { diskUpper, scratchFolderOf } from '../testbed/scratch.ts';
import { HOST_TOOLS } from '../tools.ts';
import { freeRange } from './free-range.ts';

/** `undefined`: the attempt worked; else the text of the failure. */
export type Attempt = string | undefined;

export interface Facts {
  readonly user: { readonly uid: number; readonly name: string };
  readonly nodeVersion: string;
  readonly kernel: string;
  /** The kind of container that this machine seems to be: `docker`, `podman`, … */
  readonly container: string | undefined;
  readonly sysctls: ReadonlyMap<string, string>;
  readonly tools: ReadonlyMap<string, string>;
  readonly userNamespace: Attempt;
  readonly mountInside: Attempt;
  /** The package's directory, and why the native program cannot be used, if so. */
  readonly package: { readonly folder: string /** Its path. */; readonly helper: string | undefined };
  readonly ids: number;
  /** Of ids that no account has, as START-END. */
  readonly freeRange: string;
  readonly holder: Attempt;
  /** What was tried in the holder; undefined when there is none. */
  readonly probe: ReadonlyMap<string, Attempt> | undefined;
  /** Where the cgroups of testbeds with an init are made. */
  readonly cgroup: FoundCgroup;
  readonly fuse: Attempt;
  readonly tun: Attempt;
  /** For other architectures than the machine's: how their programs are executed. */
  readonly executions: ReadonlyMap<string, Execution>;
  /** The root filesystem that the server would use without options; path undefined: it would build one. */
  readonly root: { readonly path: string | undefined } | { readonly failure: string };
}

const SYSCTLS = [
  'user.max_user_namespaces',
  'user.max_mnt_namespaces',
  'user.max_pid_namespaces',
  'user.max_net_namespaces',
  'kernel.unprivileged_userns_clone',
  'kernel.apparmor_restrict_unprivileged_userns',
] as const;

export async function gatherFacts(log: Log): Promise<Facts> {
  const caller = readCaller();
  const idMap = chooseIdMaps(caller);
  const [tools, userNamespace, container] = await Promise.all([
    findTools(log),
    attempt(['unshare', '--user', 'true'], log),
    findContainer(log),
  ]);
  const mountInside =
    userNamespace ??
    (await attempt(
      ['unshare', '--user', '--map-root-user', '--mount', 'mount', '-n', '-t', 'tmpfs', 'probe', '/mnt'],
      log,
    ));
  return {
    user: { uid: caller.uid, name: nameOf(caller.uid) },
    nodeVersion: process.versions.node,
    kernel: release(),
    container,
    sysctls: readSysctls(),
    tools,
    userNamespace,
    mountInside,
    package: { folder: packageRoot(), helper: helperOrNone() },
    ids: idMap.users.reduce((sum, { count }) => sum + count, 0),
    freeRange: freeRange(textOf('/etc/subuid'), textOf('/etc/subgid')),
    ...(await tryHolder(idMap, log)),
    cgroup: findCgroup(),
    fuse: opens('/dev/fuse'),
    tun: opens('/dev/net/tun'),
    executions: findExecutions(),
    root: findRoot(),
  };
}

async function attempt(argv: Argv, log: Log): Promise<Attempt> {
  try {
    const { status, stderr } = await runHost(argv, log, { timeout: 10_000 });
    if (status === 0) return undefined;
    return stderr.trim().split('\n').at(-1) || `exit status ${status}`;
  } catch (error) {
    return messageOf(error);
  }
}

async function tryHolder(idMap: IdMaps, log: Log): Promise<Pick<Facts, 'holder' | 'probe'>> {
  let holder: Holder | undefined;
  try {
    const scratch = scratchFolderOf(openCache(process.env).path);
    holder = await Holder.start({ idMap, sources: [scratch], log });
    const upper = await diskUpper(scratch, holder, log);
    try {
      return { holder: undefined, probe: await probe(holder, upper.where) };
    } finally {
      await upper.remove();
    }
  } catch (error) {
    return { holder: messageOf(error), probe: undefined };
  } finally {
    await holder?.stop();
  }
}

async function probe(holder: Holder, disk: string): Promise<Map<string, Attempt>> {
  const attempts: readonly [name: string, namespaces: string, attempt: readonly Step[]][] = [
    ['tmpfs', 'm', TMPFS],
    ['overlay-memory', 'm', overlayOver('/mnt/scratch')],
    ['overlay-disk', 'm', overlayOver(disk)],
    ['proc', 'mp', [steps.root('/'), steps.mount('proc', '/mnt/root', 'nosuid,nodev,noexec')]],
    ['devpts', 'm', [steps.root('/'), steps.mount('devpts', '/mnt/root', 'newinstance,ptmxmode=0666')]],
    ['sys', 'm', [steps.root('/'), steps.bind('/sys', '/mnt/root')]],
    ['hostname', 't', [steps.hostname('probe')]],
    ['network', 'n', [steps.loopback()]],
  ];
  const results = new Map<string, Attempt>();
  for (const [name, namespaces, attempt] of attempts) {
    const run = holder.run(namespaces, attempt);
    const status = await run.ended;
    const why =
      run.failure === undefined ? `its process ended with status ${status}` : failureText(run.failure);
    results.set(name, status === 0 ? undefined : why);
  }
  return results;
}

const TMPFS: readonly Step[] = [steps.root('/'), steps.mount('tmpfs', '/mnt/scratch', 'mode=755')];

function overlayOver(place: string): readonly Step[] {
  return [
    ...TMPFS,
    ...['/mnt/scratch/lower', `${place}/upper`].map((path) => steps.directory(path)),
    steps.file('/mnt/scratch/lower/file', 'text\n'),
    ...overlayRoot(['/mnt/scratch/lower'], { upper: `${place}/upper`, work: `${place}/work` }),
    steps.append('/file', 'more\n'),
    steps.directory('/made'),
  ];
}

async function findTools(log: Log): Promise<Map<string, string>> {
  const found = await Promise.all(
    HOST_TOOLS.map(async ({ name: tool }) => {
      const path = findProgram(tool);
      if (path === undefined) return [];
      return [[tool, [path, await versionOf(tool, path, log)].join(' ').trim()] as const];
    }),
  );
  return new Map(found.flat());
}

const VERSIONED: readonly string[] = ['unshare', 'tar', 'mmdebstrap', 'zstd'];

async function versionOf(tool: string, path: string, log: Log): Promise<string> {
  if (!VERSIONED.includes(tool)) return '';
  const { stdout } = await runHost([path, '--version'], log, { timeout: 5_000 });
  return /\d+(\.\d+)+/.exec(stdout)?.[0] ?? '';
}

async function findContainer(log: Log): Promise<string | undefined> {
  if (findProgram('systemd-detect-virt') !== undefined) {
    const { stdout, status } = await runHost(['systemd-detect-virt', '--container'], log);
    if (status === 0) return stdout.trim();
  }
  if (existsSync('/.dockerenv')) return 'docker';
  if (existsSync('/run/.containerenv')) return 'podman';
  return undefined;
}

function readSysctls(): Map<string, string> {
  const values = SYSCTLS.flatMap((name) => {
    try {
      return [[name, readFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8').trim()] as const];
    } catch {
      return [];
    }
  });
  return new Map(values);
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function helperOrNone(): string | undefined {
  try {
    return helperPath();
  } catch {
    return undefined;
  }
}

function opens(path: string): Attempt {
  try {
    closeSync(openSync(path, 'r+'));
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function nameOf(uid: number): string {
  try {
    return userInfo().username;
  } catch {
    return String(uid);
  }
}

/** Those of Debian's releases. */
const RELEASED = ['amd64', 'arm64', 'armhf', 'i386', 'ppc64el', 'riscv64', 's390x'] as const;

function findExecutions(): Map<string, Execution> {
  const host = hostArchitecture();
  return new Map(
    RELEASED.filter((name) => name !== host).flatMap((name) => {
      const machine = machineNamed(name);
      return machine === undefined ? [] : [[name, executionOf(machine, host)] as const];
    }),
  );
}

function findRoot(): Facts['root'] {
  try {
    const choice = chooseRoot({}, process.env);
    return { path: choice.kind === 'build' ? undefined : choice.path };
  } catch (error) {
    return { failure: messageOf(error) };
  }
}
