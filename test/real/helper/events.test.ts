/** What the helper reports is valid JSON, whatever the length of the texts. */
import assert from 'node:assert/strict';
import { helperWords, isFailure, parseEvents } from '../../../src/helper.ts';
import { call } from '../../support/program.ts';

describe('a failure that the helper reports', () => {
  for (const length of [10, 2700, 4000]) {
    it(`has its reason although the name that it is about is of ${length} bytes`, async () => {
      const name = `/${'ä'.repeat(length / 2)}`;
      const { stderr } = await call(helperWords('enter', '-n', '', String(process.pid), name));
      const [event, ...more] = parseEvents(stderr);
      assert.deepEqual(more, []);
      assert.ok(event !== undefined && isFailure(event), stderr);
      assert.match(String(event.errno), /^(ENOENT|ENAMETOOLONG)$/);
      const on = Buffer.from(String(event.on), 'latin1').toString();
      assert.ok(name.startsWith(on.replace(/\ufffd$/, '')) && on.length > Math.min(length / 2, 1000), on);
    });
  }
});
