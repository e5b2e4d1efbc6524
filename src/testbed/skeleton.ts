/** The skeleton: a layer with what all testbeds of a server have in common, so that an open has nothing to create. */
import { TestbedError } from '../errors.ts';
import type { HelperFailure } from '../helper.ts';
import { failureText } from '../helper.ts';
import { remedyOf } from '../namespaces/failures.ts';
import type { Holder } from '../namespaces/holder.ts';
import { ROOT } from '../namespaces/instance.ts';
import * as steps from '../namespaces/steps.ts';
import { hostsFile } from '../network/hosts.ts';
import { randomBytes } from '../random.ts';
import { closedRoot } from './closed-root.ts';
import { DEVICE_LINKS, DEVICES } from './devices.ts';
import { type Init, initOf } from './init.ts';
import type { InitChoice } from './init-choice.ts';
import { lowerRoot } from './mounts.ts';

export const SKELETON = '/mnt/skeleton';
/** Made in a base that has no user with an id from 1000 on. */
const NORMAL_USER = 'user';
const NORMAL_ID = 1000;
interface SkeletonOptions {
  readonly holder: Holder;
  readonly base: string;
  /** Paths in the holder: the base and the layers of an image over it, topmost first. */
  readonly layers: readonly string[];
  readonly hostname: string;
  readonly hosts: string;
  readonly resolvConf: string;
  readonly scratchDirectory: string;
  readonly ownNetwork: boolean;
  readonly init?: InitChoice | undefined;
}

export interface Filled {
  /** Undefined where the id map has no id for one. */
  readonly normalUser: string | undefined;
  /** Whether packages may start their services. */
  readonly startsServices: boolean;
  readonly init: Init | undefined;
}

export async function fillSkeleton(options: SkeletonOptions): Promise<Filled> {
  const { holder } = options;
  const { tree, before } = mergedTree(options.layers);
  const events = await runSteps(options, [
    ...before,
    steps.root(SKELETON),
    ...['dev', 'dev/net', 'dev/pts', 'dev/shm', 'etc', 'home', 'proc', 'run', 'sys'].map((path) =>
      steps.directory(path),
    ),
    steps.directory('tmp', '1777'),
    // Mode 777: see "open" in protocol.md.
    steps.directory(options.scratchDirectory.slice(1), '0777'),
    ...[...DEVICES, 'console'].map((name) => steps.file(`dev/${name}`)),
    ...DEVICE_LINKS.map(([name, target]) => steps.link(`dev/${name}`, target)),
    steps.file('etc/hostname', `${options.hostname}\n`),
    steps.file('etc/hosts', hostsFile(options.hosts)),
    steps.file('etc/resolv.conf', options.resolvConf),
    steps.accounts(tree),
    // On the host's network a service would use the host's ports, so the image's own policy holds there.
    ...(options.ownNetwork ? [steps.services(tree)] : []),
    ...(options.init === undefined ? [] : [steps.inits(tree, options.init)]),
  ]);
  const accounts = events.find(({ event }) => event === 'accounts');
  const found = Buffer.from(String(accounts?.user ?? ''), 'latin1').toString();
  const user = holder.idMap.single ? undefined : found || NORMAL_USER;
  const files = new Set(String(accounts?.files ?? '').split(' '));
  const inits = events.find(({ event }) => event === 'init');
  const init = options.init === undefined ? undefined : initOf(inits, options.init);
  const more = [
    ...rootAccounts(files),
    // Else systemd would take each start for the first one of a machine.
    ...(init !== undefined && inits?.machine === 0
      ? [steps.file('etc/machine-id', `${randomBytes(16).toString('hex')}\n`, '0444')]
      : []),
    ...(user === undefined || found !== '' ? [] : userAccount(tree, files, accounts?.bash)),
  ];
  if (more.length > 0) await runSteps(options, [...before, steps.root(SKELETON), ...more]);
  const startsServices = events.some(({ event, start }) => event === 'services' && start === 1);
  return { normalUser: user, startsServices, init };
}

/** The accounts of an image are in any of its layers, so they are read from an overlay of these. */
function mergedTree(layers: readonly string[]): { tree: string; before: steps.Step[] } {
  const [only = '', ...more] = layers;
  return more.length === 0 ? { tree: only, before: [] } : { tree: ROOT, before: lowerRoot(layers) };
}

async function runSteps(
  { holder, base }: SkeletonOptions,
  list: readonly steps.Step[],
): Promise<readonly { readonly event: string; readonly [member: string]: string | number }[]> {
  // Other processes of the holder do not need what is mounted for this.
  const run = holder.run(list.some(([name]) => name === 'mount') ? 'm' : '', list);
  if ((await run.ended) === 0) return run.events;
  const { failure } = run;
  if (failure?.code === 'ROOT_CLOSED') throw closedRoot(base, String(failure.on ?? ''));
  throw cannotFill(failure);
}

function cannotFill(failure: HelperFailure | undefined): TestbedError {
  const why = failure === undefined ? 'its process was killed' : failureText(failure);
  return new TestbedError(`preparing the skeleton of the testbeds failed: ${why}`, {
    code: failure?.code ?? 'SETUP_KILLED',
    remedy:
      failure === undefined ? 'virt-ts-unshare doctor names what this machine lacks' : remedyOf(failure),
  });
}

/** "x": the password is in the other file, where PAM requires a line, also for su from root. "*": none is accepted. */
function passwords(files: ReadonlySet<string>): { user: string; group: string } {
  return { user: files.has('shadow') ? 'x' : '*', group: files.has('gshadow') ? 'x' : '*' };
}

function rootAccounts(files: ReadonlySet<string>): steps.Step[] {
  const { user, group } = passwords(files);
  return [
    ...(files.has('passwd') ? [] : [steps.append('etc/passwd', `root:${user}:0:0:root:/root:/bin/sh\n`)]),
    ...(files.has('group') ? [] : [steps.append('etc/group', `root:${group}:0:\n`)]),
  ];
}

function userAccount(base: string, files: ReadonlySet<string>, bash: unknown): steps.Step[] {
  const { user, group } = passwords(files);
  const shell = typeof bash === 'string' && bash !== '' ? bash : '/bin/sh';
  const ids = `${NORMAL_ID}:${NORMAL_ID}`;
  return [
    steps.append('etc/passwd', `${NORMAL_USER}:${user}:${ids}::/home/${NORMAL_USER}:${shell}\n`),
    steps.append('etc/group', `${NORMAL_USER}:${group}:${NORMAL_ID}:\n`),
    ...(files.has('shadow') ? [steps.append('etc/shadow', `${NORMAL_USER}:*:19000:0:99999:7:::\n`)] : []),
    ...(files.has('gshadow') ? [steps.append('etc/gshadow', `${NORMAL_USER}:!::\n`)] : []),
    steps.home(base, NORMAL_USER, NORMAL_ID),
  ];
}
