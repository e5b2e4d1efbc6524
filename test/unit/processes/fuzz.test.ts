/**
 * Registries with random content: what is void or wrong is passed over, and no reader throws. Sizes and seed:
 * test/support/fuzz.ts.
 */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { Claims } from '../../../src/processes/claims.ts';
import { thisProcess } from '../../../src/processes/identity.ts';
import { registered } from '../../../src/processes/open-testbeds.ts';
import { parameters, rounds, seed } from '../../support/fuzz.ts';
import { clear, contents, put } from '../../support/random-json.ts';

const RUNS = rounds({ short: 60, long: 10_000 });

describe(`random registries (seed ${seed})`, function () {
  this.timeout(0);
  const self = thisProcess();
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-registry-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const TESTBED = {
    ...self,
    ...{
      name: 'testbed',
      since: 1,
      root: '/x',
      scratch: '/tmp',
      ownNetwork: false,
      owner: 0,
      report: '/proc/1/fd/1',
    },
    ...{
      opener: self,
      holder: 1,
      layers: ['/mnt/layers/1'],
      mode: 'overlay',
      keys: ['a'],
      binds: ['/x'],
      bases: '/b',
    },
  };
  const names = fc.constantFrom(
    `${self.pid}-${self.startTime}.json`,
    '1-1.json',
    'x',
    '.hidden',
    '999999999-5.json',
    '-.json',
    '0-0',
  );

  it(`${RUNS} of open testbeds`, () => {
    const isOwn = ({ pid }: { readonly pid: number }) => pid === self.pid;
    let found = 0;
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(names, contents(TESTBED)), { selector: ([name]) => name, maxLength: 3 }),
        (files) => {
          clear(folder);
          for (const [name, content] of files) put(join(folder, 'virt-ts-unshare/testbeds', name), content);
          if (files.length > 0) chmodSync(join(folder, 'virt-ts-unshare'), 0o700);
          // Others of this user may be open elsewhere.
          for (const testbed of registered({ XDG_RUNTIME_DIR: folder }).filter(isOwn)) {
            found += 1;
            assert.ok(
              [testbed.name, testbed.root, testbed.scratch].every((text) => typeof text === 'string'),
            );
          }
        },
      ),
      parameters(RUNS),
    );
    assert.ok(found > 0);
  });

  it(`${RUNS} of claims`, () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(
          fc.tuple(fc.constantFrom('a', 'b', 'c d', '..', '.x', 'x'.repeat(120)), contents({ owner: self })),
          {
            selector: ([name]) => name,
            maxLength: 3,
          },
        ),
        (files) => {
          clear(folder);
          const claims = new Claims(folder);
          for (const [name, content] of files) put(join(folder, `${name}.json`), content);
          const valid = claims.names();
          for (const name of valid) assert.deepEqual(claims.read(name)?.owner.pid, self.pid);
          const removed: string[] = [];
          claims.sweep((name) => removed.push(name));
          assert.deepEqual(claims.names(), valid);
          for (const name of removed) assert.ok(!existsSync(join(folder, `${name}.json`)), name);
          // A claim that is void can be taken, one that is valid cannot.
          assert.equal(claims.claim('a', { owner: self }), !valid.includes('a'));
        },
      ),
      parameters(RUNS),
    );
  });
});
