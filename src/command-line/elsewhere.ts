/** Options of docker and podman that are none here, each with a remedy. Imports only types. */
import type { Owner } from './given.ts';

const TERMINAL = 'leave it out: where this program has a terminal, the command has one';
const BIND = 'write --bind OUTSIDE INSIDE';
const CAPABILITIES = 'leave it out: root of a testbed has all capabilities in it';

const OF_COMMANDS: Readonly<Record<string, string>> = {
  ...{ '-i': TERMINAL, '--interactive': TERMINAL, '--tty': TERMINAL },
  ...{ '--privileged': CAPABILITIES, '--cap-add': CAPABILITIES },
};

const OF_TESTBEDS: Readonly<Record<string, string>> = {
  ...OF_COMMANDS,
  ...{ '-v': BIND, '--volume': BIND, '--mount': BIND },
  '--rm': 'leave it out: a testbed is removed at its end',
  '--image': 'write --release NAME',
  '--memory': 'write --max-memory SIZE',
  '--pids-limit': 'write --max-processes NUMBER',
};

const KNOWN: Partial<Readonly<Record<Owner, Readonly<Record<string, string>>>>> = {
  run: OF_TESTBEDS,
  shell: OF_TESTBEDS,
  exec: OF_COMMANDS,
  logs: { '--tail': 'write virt-ts-unshare logs NAME | tail' },
};

export function remedyForOption(owner: Owner, option: string): string | undefined {
  const known = KNOWN[owner];
  return known !== undefined && Object.hasOwn(known, option) ? known[option] : undefined;
}
