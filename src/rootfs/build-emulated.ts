/**
 * Runs mmdebstrap for another architecture in a user namespace with qemu registered, where the machine has no registration. It works
 * on a tmpfs of this namespace, so nothing is left when it is killed, and writes the tarball to its standard output.
 */
import { closeSync, openSync } from 'node:fs';
import { TestbedError } from '../errors.ts';
import { type Argv, type Stdio, spawnHost, textOf } from '../host.ts';
import type { Log } from '../log.ts';
import { readCaller } from '../namespaces/caller.ts';
import { emulate } from '../namespaces/emulation.ts';
import { Holder } from '../namespaces/holder.ts';
import { chooseIdMaps } from '../namespaces/idmap.ts';
import type { Machine } from '../namespaces/machines.ts';
import * as steps from '../namespaces/steps.ts';
import { hostArchitecture } from './release.ts';

const WORK = '/mnt/scratch';

export interface EmulatedRun {
  readonly stdout?: Stdio;
  readonly env?: Readonly<Record<string, string>>;
  /** For messages. Default: the first word of the argv. */
  readonly program?: string;
}

interface EmulatedBuild {
  readonly machine: Machine;
  readonly target: string;
  readonly log: Log;
  readonly signal: AbortSignal | undefined;
}

export async function buildEmulated(
  argv: Argv,
  { machine, target, log, signal }: EmulatedBuild,
  run: (argv: Argv, options: EmulatedRun) => Promise<void>,
): Promise<void> {
  const idMap = chooseIdMaps(readCaller());
  if (idMap.single) {
    throw new TestbedError(`building a root filesystem of ${machine.name} needs more than one user id`, {
      code: 'NO_SUBORDINATE_IDS',
      remedy: 'virt-ts-unshare doctor names how to get subordinate ids',
    });
  }
  const holder = await Holder.start({ idMap, sources: [], log, ...(signal === undefined ? {} : { signal }) });
  try {
    await emulate(holder, machine, hostArchitecture());
    const mounted = holder.run('', [steps.root('/'), steps.mount('tmpfs', WORK, 'mode=1777')]);
    await Promise.all([mounted.ready.catch(() => {}), mounted.ended]);
    await packing(target, log, (stdout) =>
      run(holder.enter(argv, { bare: true }), { stdout, env: { TMPDIR: WORK }, program: argv[0] }),
    );
  } finally {
    await holder.stop();
  }
}

/** @param work writes a tarball; zstd packs it where the name of the target says so */
export async function packing(
  target: string,
  log: Log,
  work: (stdout: Stdio) => Promise<void>,
): Promise<void> {
  const file = openSync(target, 'w');
  try {
    if (!target.endsWith('.zst')) return await work(file);
    const zstd = await spawnHost(['zstd', '-q', '-T0'], log, { stdio: ['pipe', file, 'pipe'] });
    const { stdin, stderr } = zstd.child;
    if (stdin === null) throw new TestbedError('zstd has no input', { code: 'INTERNAL' });
    stdin.on('error', () => {});
    const [made, packed, words] = await Promise.allSettled([
      work(stdin).finally(() => stdin.destroy()),
      zstd.exited,
      textOf(stderr),
    ]);
    const isPacked = packed.status === 'fulfilled' && packed.value.status === 0;
    // Without its reader the command fails too.
    if (made.status === 'rejected' && (isPacked || !(made.reason instanceof TestbedError))) throw made.reason;
    if (isPacked) return;
    const why = words.status === 'fulfilled' ? words.value.trim() : '';
    throw new TestbedError(`writing ${target} failed: ${why || 'zstd was killed'}`, {
      code: 'BUILD_FAILED',
      remedy: 'free some space',
    });
  } finally {
    closeSync(file);
  }
}
