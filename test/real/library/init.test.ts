/** Services of a testbed's own init, by the library. */
import assert from 'node:assert/strict';
import { CommandFailedError, closeAll, Testbed, UsageError } from '../../../src/index.ts';
import { findCgroup } from '../../../src/namespaces/cgroups.ts';
import { testTarball } from '../../support/rootfs.ts';
import { lack, ONLY_ROOT } from '../../support/skip.ts';

const UNIT = `[Service]
ExecStart=/bin/sh -c 'echo hello; exec sleep 1000'
ExecStop=/bin/sh -c 'echo bye'
[Install]
WantedBy=multi-user.target
`;
const BAD = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo the reason; exit 7'\n";

describe('a unit', function () {
  this.timeout(120_000);
  after(() => closeAll());
  before(function () {
    if (ONLY_ROOT) lack(this, 'without subordinate ids there is no user but root');
    const { why } = findCgroup();
    if (why !== undefined) lack(this, why);
  });

  it('starts, stops, has a state and a journal, and starts at boot in a testbed from a snapshot', async () => {
    const options = { rootfs: testTarball('init'), init: true, network: 'none' } as const;
    await using testbed = await Testbed.open(options);

    await testbed.write({
      '/etc/systemd/system/mine.service': UNIT,
      '/etc/systemd/system/bad.service': BAD,
    });
    await testbed.run(['systemctl', 'daemon-reload'], { check: true });
    const mine = testbed.unit('mine');
    assert.equal(await mine.state(), 'inactive');
    await mine.start();
    assert.equal(await mine.state(), 'active');
    await mine.restart();
    await mine.stop();
    assert.equal(await mine.state(), 'inactive');
    const lines = (await mine.journal()).split('\n').filter((line) => /^(hello|bye)$/.test(line));
    assert.deepEqual(lines, ['hello', 'bye', 'hello', 'bye']);
    assert.equal((await mine.journal({ lines: 1 })).trim().split('\n').length, 1);
    await assert.rejects(testbed.unit('bad').start(), (error) => {
      assert.ok(error instanceof CommandFailedError);
      assert.match(error.message, /systemctl start bad failed/);
      assert.match(error.stderr ?? '', /the reason/);
      return true;
    });
    assert.equal(await testbed.unit('bad.service').state(), 'failed');
    await testbed.run(['systemctl', 'enable', '--quiet', 'mine'], { check: true });
    await using ready = await testbed.snapshot();
    await using fork = await Testbed.open({ from: ready });
    assert.deepEqual([await fork.unit('mine').state(), await mine.state()], ['active', 'active']);
    await fork.unit('mine').stop();
    assert.equal(await mine.state(), 'active');
  });

  it('needs an init, and a name', async () => {
    await using plain = await Testbed.open({ rootfs: testTarball() });
    const hasCode = (code: string) => (error: unknown) => error instanceof UsageError && error.code === code;
    assert.throws(() => plain.unit('cron'), hasCode('NO_INIT'));
    // @ts-expect-error no such init
    await assert.rejects(Testbed.open({ init: 'openrc' }), hasCode('WRONG_VALUE'));
    await using testbed = await Testbed.open({ rootfs: testTarball('init'), init: 'auto', network: 'none' });
    for (const name of ['', '--help', 'a b']) assert.throws(() => testbed.unit(name), hasCode('WRONG_VALUE'));
  });
});
