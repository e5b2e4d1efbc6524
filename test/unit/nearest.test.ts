import assert from 'node:assert/strict';
import { nearestTo } from '../../src/nearest.ts';
import { VERBS } from '../../src/verbs.ts';

describe('the nearest word', () => {
  const verbs = Object.keys(VERBS);

  for (const [word, meant] of [
    ['rnu', 'run'],
    ['rn', 'run'],
    ['runn', 'run'],
    ['shel', 'shell'],
    ['sehll', 'shell'],
    ['docter', 'doctor'],
    ['rootf', 'rootfs'],
    ['esec', 'exec'],
  ] as const) {
    it(`to ${word} is ${meant}`, () => assert.equal(nearestTo(word, verbs), meant));
  }

  it('is found at once in a word of 8 MiB', () => {
    assert.equal(nearestTo('r'.repeat(8 * 1024 * 1024), verbs), undefined);
  });

  it('is none where all are far', () => {
    for (const word of ['frobnicate', 'xyz', 'x']) assert.equal(nearestTo(word, verbs), undefined, word);
  });
});
