import assert from 'node:assert/strict';
import {
  ELF_HEADER,
  executesNatively,
  machineNamed,
  machineOf,
  registration,
} from '../../../src/namespaces/machines.ts';

interface Elf {
  readonly bits: 32 | 64;
  readonly big?: boolean;
  readonly machine: number;
  readonly flags?: number;
}

function elf({ bits, big = false, machine, flags = 0 }: Elf): Buffer {
  const header = Buffer.alloc(ELF_HEADER);
  header.write('\x7fELF', 'latin1');
  header[4] = bits / 32;
  header[5] = big ? 2 : 1;
  if (big) header.writeUInt16BE(machine, 18);
  else header.writeUInt16LE(machine, 18);
  header.writeUInt32LE(flags, 36);
  return header;
}

describe('architectures', () => {
  it('are known by their ELF header', () => {
    const seen = [
      elf({ bits: 64, machine: 62 }),
      elf({ bits: 32, machine: 62 }),
      elf({ bits: 32, machine: 3 }),
      elf({ bits: 64, machine: 183 }),
      elf({ bits: 32, machine: 40, flags: 0x5000400 }),
      elf({ bits: 32, machine: 40, flags: 0x5000200 }),
      elf({ bits: 64, machine: 243 }),
      elf({ bits: 64, machine: 21 }),
      elf({ bits: 64, machine: 21, big: true }),
      elf({ bits: 64, machine: 22, big: true }),
    ].map((header) => machineOf(header)?.name);
    assert.deepEqual(seen, [
      ...['amd64', 'x32', 'i386', 'arm64', 'armhf', 'armel', 'riscv64', 'ppc64el', 'ppc64', 's390x'],
    ]);
  });

  it('are unknown where the header is short, of no program, or of another machine', () => {
    assert.equal(machineOf(elf({ bits: 64, machine: 62 }).subarray(0, 20)), undefined);
    assert.equal(machineOf(Buffer.from(`#!/bin/sh\n${' '.repeat(60)}`)), undefined);
    assert.equal(machineOf(elf({ bits: 64, machine: 9999 })), undefined);
  });

  it('run without qemu where the processor has them', () => {
    assert.ok(executesNatively('amd64', 'i386'));
    assert.ok(!executesNatively('i386', 'amd64'));
    assert.ok(!executesNatively('amd64', 'arm64'));
    assert.ok(executesNatively('s390x', 's390x'));
  });

  it('are registered as Debian does', () => {
    const magic = (name: string) => {
      const machine = machineNamed(name);
      assert.ok(machine !== undefined);
      return registration(machine, '/q');
    };
    assert.equal(
      magic('arm64'),
      String.raw`:qemu-arm64:M::\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/q:POCF`,
    );
    assert.equal(
      magic('s390x'),
      String.raw`:qemu-s390x:M::\x7f\x45\x4c\x46\x02\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x16:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff:/q:POCF`,
    );
  });
});
