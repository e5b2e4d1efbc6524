import assert from 'node:assert/strict';
import { layerSize, memoryFor, memoryShares, mostProcesses } from '../../../src/testbed/limits.ts';

const limits = (soft: string) =>
  `Limit  Soft Limit  Hard Limit  Units\nMax processes  ${soft}  99999  processes\n`;
const GIBIBYTE = 1024 ** 3;

describe('the limits of a testbed', () => {
  it('leave half of the processes to the caller, and suit the memory', () => {
    assert.equal(mostProcesses(undefined, limits('unlimited'), 64 * GIBIBYTE), 16_384);
    assert.equal(mostProcesses(undefined, limits('2500'), 64 * GIBIBYTE), 1250);
    assert.equal(mostProcesses(undefined, limits('unlimited'), 4 * GIBIBYTE), 4096);
    assert.equal(mostProcesses(undefined, '', 64 * GIBIBYTE), 16_384);
  });

  it('are what is asked for', () => {
    assert.equal(mostProcesses(100_000, limits('2500'), GIBIBYTE), 100_000);
    assert.equal(memoryFor(1_000_000), 1_000_000);
    assert.deepEqual(memoryShares(1_000_000), { shm: '250000', run: '100000' });
    assert.equal(layerSize(undefined, 1_000_000), '500000');
    assert.equal(layerSize('3g', 1_000_000), '3g');
  });

  it('are less than the memory of the machine', () => {
    const { shm, run } = memoryShares(undefined);
    // The kernel gives a tmpfs without a size half of it.
    assert.equal(layerSize(undefined, undefined), undefined);
    assert.ok(50 + Number.parseInt(shm, 10) + Number.parseInt(run, 10) < 100);
  });
});
