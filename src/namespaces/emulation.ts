/**
 * Programs of another architecture in testbeds: qemu of the host, registered in the binfmt_misc of the holder's user namespace
 * (Linux 6.7), or the machine's own registration where there is one. The registration has an effect in this user namespace only.
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { release } from 'node:os';
import { TestbedError } from '../errors.ts';
import { failureText } from '../helper.ts';
import { findProgram } from '../processes/find.ts';
import type { Holder } from './holder.ts';
import { executesNatively, type Machine, registration } from './machines.ts';
import * as steps from './steps.ts';

const HOST_REGISTRATIONS = '/proc/sys/fs/binfmt_misc';
/** Made by the stage (helper/stage.c). */
const MOUNT_POINT = '/mnt/binfmt';

/** How the programs of an architecture are executed, or why they are not. */
export type Execution =
  | { readonly kind: 'native' }
  | { readonly kind: 'host-wide' }
  | { readonly kind: 'own'; readonly interpreter: string }
  | { readonly kind: 'none'; readonly why: string; readonly remedy: string };

export function executionOf(machine: Machine, host: string): Execution {
  if (executesNatively(host, machine.name)) return { kind: 'native' };
  if (isRegistered(machine)) return { kind: 'host-wide' };
  const none = (why: string, remedy: string): Execution => ({ kind: 'none', why, remedy });
  const interpreter = findInterpreter(machine);
  if (interpreter === undefined) {
    return none(`there is no static qemu for ${machine.name}`, 'install the package qemu-user-static');
  }
  if (!hasOwnRegistrations(release())) {
    return none(
      `Linux ${release()} lets only the administrator register qemu for ${machine.name}`,
      'as root: apt-get install qemu-user-static binfmt-support; or use Linux 6.7 or newer',
    );
  }
  return { kind: 'own', interpreter };
}

export function hasOwnRegistrations(kernel: string): boolean {
  const [major = 0, minor = 0] = kernel.split('.').map(Number);
  return major > 6 || (major === 6 && minor >= 7);
}

/** Registers for all testbeds of a holder, where that is needed. @throws TestbedError */
export async function emulate(holder: Holder, machine: Machine, host: string): Promise<void> {
  const execution = executionOf(machine, host);
  if (execution.kind === 'native' || execution.kind === 'host-wide') return;
  const what = `programs of the architecture ${machine.name} cannot run here`;
  if (execution.kind === 'none') {
    throw new TestbedError(`${what}: ${execution.why}`, { code: 'NO_EMULATION', remedy: execution.remedy });
  }
  const run = holder.run('', [
    steps.root('/'),
    steps.mount('binfmt_misc', MOUNT_POINT, 'nosuid,nodev,noexec'),
    steps.append(`${MOUNT_POINT}/register`, registration(machine, execution.interpreter)),
  ]);
  if ((await run.ended) === 0) return;
  const why = run.failure === undefined ? 'its process was killed' : failureText(run.failure);
  throw new TestbedError(`${what}: ${why}`, {
    code: 'NO_EMULATION',
    remedy: 'as root: modprobe binfmt_misc, or apt-get install qemu-user-static binfmt-support',
  });
}

/** By the administrator, with the flag F: without it the testbed itself would need the interpreter. */
function isRegistered(machine: Machine): boolean {
  const [, magic = ''] = /:M::([^:]*):/.exec(registration(machine, '')) ?? [];
  const hex = magic.replaceAll('\\x', '');
  return registrations().some(
    (text) => /^enabled$/m.test(text) && /^flags: .*F/m.test(text) && text.includes(`\nmagic ${hex}\n`),
  );
}

function registrations(): string[] {
  try {
    return readdirSync(HOST_REGISTRATIONS)
      .filter((name) => name !== 'register' && name !== 'status')
      .map((name) => readFileSync(`${HOST_REGISTRATIONS}/${name}`, 'latin1'));
  } catch {
    return [];
  }
}

function findInterpreter({ qemu }: Machine): string | undefined {
  if (qemu === undefined) return undefined;
  return [findProgram(`qemu-${qemu}-static`), findProgram(`qemu-${qemu}`)].find(
    (path) => path !== undefined && isStatic(path),
  );
}

const PT_INTERP = 3;

/** A testbed need not have the loader of the host's programs. */
function isStatic(path: string): boolean {
  const bytes = Buffer.alloc(4096);
  try {
    const file = openSync(path, 'r');
    try {
      readSync(file, bytes, 0, bytes.length, 0);
    } finally {
      closeSync(file);
    }
    const [wide, little] = [bytes[4] === 2, bytes[5] === 1];
    const half = (at: number) => (little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at));
    const word = (at: number) => (little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
    // The table lies behind the header, so its offset fits in 32 bits.
    const table = wide ? word(little ? 32 : 36) : word(28);
    const [size, count] = [half(wide ? 54 : 42), half(wide ? 56 : 44)];
    return !Array.from({ length: count }, (_, i) => word(table + i * size)).includes(PT_INTERP);
  } catch {
    return false;
  }
}
