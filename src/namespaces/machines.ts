/** The architectures of Debian, as their ELF headers show them (elf(5)). Pure. */

export interface Machine {
  /** Debian's name. */
  readonly name: string;
  readonly bits: 32 | 64;
  readonly order: 'little' | 'big';
  /** e_machine. */
  readonly machine: number;
  /** As in the name of the program qemu-NAME-static; undefined: qemu has no user emulation for it here. */
  readonly qemu: string | undefined;
}

const machine = (
  name: string,
  bits: Machine['bits'],
  order: Machine['order'],
  number: number,
  qemu?: string,
): Machine => ({ name, bits, order, machine: number, qemu });

const ARM = 40;
const EF_ARM_ABI_FLOAT_HARD = 0x400;

const MACHINES: readonly Machine[] = [
  machine('amd64', 64, 'little', 62, 'x86_64'),
  machine('x32', 32, 'little', 62),
  machine('i386', 32, 'little', 3, 'i386'),
  machine('arm64', 64, 'little', 183, 'aarch64'),
  machine('armhf', 32, 'little', ARM, 'arm'),
  machine('armel', 32, 'little', ARM, 'arm'),
  machine('riscv64', 64, 'little', 243, 'riscv64'),
  machine('ppc64el', 64, 'little', 21, 'ppc64le'),
  machine('ppc64', 64, 'big', 21, 'ppc64'),
  machine('powerpc', 32, 'big', 20, 'ppc'),
  machine('s390x', 64, 'big', 22, 's390x'),
  machine('loong64', 64, 'little', 258, 'loongarch64'),
  machine('mips64el', 64, 'little', 8, 'mips64el'),
  machine('mipsel', 32, 'little', 8, 'mipsel'),
  machine('mips', 32, 'big', 8, 'mips'),
  machine('sparc64', 64, 'big', 43, 'sparc64'),
  machine('hppa', 32, 'big', 15, 'hppa'),
  machine('m68k', 32, 'big', 4, 'm68k'),
  machine('sh4', 32, 'little', 42, 'sh4'),
  machine('alpha', 64, 'little', 0x9026, 'alpha'),
];

/** What a processor executes besides its own architecture, if the kernel lets it. */
const ALSO: Readonly<Record<string, readonly string[]>> = {
  amd64: ['i386', 'x32'],
  arm64: ['armhf', 'armel'],
};

export function machineNamed(name: string): Machine | undefined {
  return MACHINES.find((each) => each.name === name);
}

export function executesNatively(host: string, name: string): boolean {
  return host === name || (ALSO[host] ?? []).includes(name);
}

/** Bytes of an ELF header that `machineOf` looks at. */
export const ELF_HEADER = 52;

/** Undefined where it is no ELF header, or of none of these architectures. */
export function machineOf(header: Buffer): Machine | undefined {
  if (header.length < ELF_HEADER || header.readUInt32BE(0) !== 0x7f454c46) return undefined;
  const [bits, order] = [header[4] === 2 ? 64 : 32, header[5] === 2 ? 'big' : 'little'];
  const number = order === 'big' ? header.readUInt16BE(18) : header.readUInt16LE(18);
  const fitting = MACHINES.filter(
    (each) => each.bits === bits && each.order === order && each.machine === number,
  );
  if (number !== ARM) return fitting[0];
  const hard = (header.readUInt32LE(36) & EF_ARM_ABI_FLOAT_HARD) !== 0;
  return fitting.find(({ name }) => (name === 'armhf') === hard);
}

/**
 * The line for binfmt_misc (Documentation/admin-guide/binfmt-misc.rst). Flags: P keeps argv[0], O and C let a set-user-ID
 * program have its effect, F opens the interpreter now, so that a testbed need not have it.
 */
export function registration({ name, bits, order, machine: number }: Machine, interpreter: string): string {
  const bytes = (...values: number[]) =>
    values.map((value) => `\\x${value.toString(16).padStart(2, '0')}`).join('');
  const half = (value: number) =>
    order === 'little' ? [value & 0xff, value >> 8] : [value >> 8, value & 0xff];
  const magic = bytes(0x7f, 0x45, 0x4c, 0x46, bits / 32, order === 'little' ? 1 : 2, 1, ...Array(9).fill(0));
  // The byte for the operating system may have any value, and the type may be ET_EXEC or ET_DYN, 2 or 3.
  const mask = bytes(...Array(7).fill(0xff), 0, ...Array(8).fill(0xff));
  const [type, typeMask] = [half(2), half(0xfffe)];
  return `:qemu-${name}:M::${magic}${bytes(...type, ...half(number))}:${mask}${bytes(...typeMask, 0xff, 0xff)}:${interpreter}:POCF`;
}
