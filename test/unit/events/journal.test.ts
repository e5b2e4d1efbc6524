import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { Journal } from '../../../src/events/journal.ts';
import type { HelperEvent } from '../../../src/helper.ts';

describe('the journal of a testbed', () => {
  const warnings: string[] = [];
  const log = { debugging: false, debug: () => {}, warn: (text: string) => warnings.push(text) };

  it('gives the other events when one cannot be taken, such as for want of descriptors', () => {
    const given: HelperEvent[] = [];
    const journal = Journal.open(log, (event) => {
      if (event.pid === 1) throw new Error('too many open files');
      given.push(event);
    });
    assert.ok(journal);
    try {
      appendFileSync(journal.path, '{"event":"started","pid":1}\n{"event":"started","pid":2}\n{"ev');
      journal.flush();
      assert.deepEqual(given, [{ event: 'started', pid: 2 }]);
      assert.deepEqual(warnings, ['an event was lost: too many open files']);
    } finally {
      journal.close();
    }
  });
});
