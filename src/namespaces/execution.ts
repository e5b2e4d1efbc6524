/** How programs of an architecture are executed on this machine: natively, by the machine's registration of qemu, or by one of our own. */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { release } from 'node:os';
import { findProgram } from '../processes/find.ts';
import { executesNatively, type Machine, registration } from './machines.ts';

const HOST_REGISTRATIONS = '/proc/sys/fs/binfmt_misc';

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
