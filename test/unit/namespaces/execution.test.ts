import assert from 'node:assert/strict';
import { executionOf, hasOwnRegistrations } from '../../../src/namespaces/execution.ts';
import type { Machine } from '../../../src/namespaces/machines.ts';

describe('the execution of another architecture', () => {
  const unknown: Machine = {
    name: 'arm64',
    bits: 64,
    order: 'little',
    machine: 0xfffe,
    qemu: 'of-no-machine',
  };

  it('needs no qemu where the processor has it', () => {
    assert.deepEqual(executionOf({ ...unknown, name: 'i386' }, 'amd64'), { kind: 'native' });
  });

  it('names what is missing, and the remedy', () => {
    assert.deepEqual(executionOf(unknown, 'amd64'), {
      kind: 'none',
      why: 'there is no static qemu for arm64',
      remedy: 'install the package qemu-user-static',
    });
  });

  it('is registered without the administrator since Linux 6.7', () => {
    const kernels = [
      '5.10.0-34-amd64',
      '6.1.0-35-amd64',
      '6.6.9',
      '6.7.0',
      '6.12.1+deb13',
      '7.0-rc1',
      '10.1',
    ];
    assert.deepEqual(kernels.filter(hasOwnRegistrations), ['6.7.0', '6.12.1+deb13', '7.0-rc1', '10.1']);
  });
});
