import assert from 'node:assert/strict';
import {
  closeAll,
  Laboratory,
  suiteTestbed,
  Testbed,
  type TestbedContext,
  testbedHooks,
  VirtError,
} from '../../../src/index.ts';
import { testTarball } from '../../support/rootfs.ts';
import { itWithUsers } from '../../support/skip.ts';

const hasCode = (code: string) => (error: unknown) => error instanceof VirtError && error.code === code;

describe('a snapshot', function () {
  this.timeout(60_000);
  const rootfs = testTarball();
  after(() => closeAll());

  it('opens any number of testbeds, at once, each independent of the others', async () => {
    await using testbed = await Testbed.open({ rootfs, network: 'none' });
    await testbed.run('echo ready >/srv/state', { check: true });
    await using ready = await testbed.snapshot();
    const forks = await Promise.all(Array.from({ length: 5 }, () => Testbed.open({ from: ready })));
    await Promise.all(forks.map((fork, index) => fork.run(`echo ${index} >>/srv/state`)));
    for (const [index, fork] of forks.entries()) {
      assert.equal((await fork.run(['cat', '/srv/state'])).stdout, `ready\n${index}\n`);
      assert.equal(fork.hostname, testbed.hostname);
    }
    await forks[0]?.revert();
    assert.equal((await forks[0]?.run(['cat', '/srv/state']))?.stdout, 'ready\n');
    assert.equal((await testbed.run(['cat', '/srv/state'])).stdout, 'ready\n');
    for (const fork of forks) await fork.close();
  });

  it('is not a leak, and what comes after it is one', async () => {
    await using testbed = await Testbed.open({ rootfs });
    await testbed.run('touch /tmp/before; sleep 300 >/dev/null 2>&1 &', { check: true });
    assert.equal((await testbed.leaks()).length, 2);
    await using ready = await testbed.snapshot();
    assert.deepEqual(await testbed.leaks(), []);
    await using fork = await Testbed.open({ from: ready });
    assert.deepEqual(await fork.leaks(), []);
    await fork.run('rm /tmp/before; echo text >/tmp/before; echo text >/tmp/after', { check: true });
    const leaks = await fork.leaks();
    assert.deepEqual(
      leaks.map((leak) => leak.kind === 'file' && leak.path),
      ['/tmp/after', '/tmp/before'],
    );
  });

  it('is not opened with other options, after its end, or when it is something else', async () => {
    const testbed = await Testbed.open({ rootfs });
    const ready = await testbed.snapshot();
    await assert.rejects(
      // @ts-expect-error options exclude from
      Testbed.open({ from: ready, network: 'none' }),
      hasCode('UNKNOWN_OPTION'),
    );
    // @ts-expect-error not a snapshot
    await assert.rejects(Testbed.open({ from: testbed }), hasCode('WRONG_VALUE'));
    await testbed.close();
    await assert.rejects(testbed.snapshot(), hasCode('CLOSED'));
    const fork = await Reflect.apply(Testbed.open, Testbed, [{ from: ready, release: undefined }]);
    await fork.close();
    await ready.dispose();
    await assert.rejects(Testbed.open({ from: ready }), hasCode('DISPOSED'));
  });

  it('ends with closeAll, also when testbeds are open', async () => {
    const testbed = await Testbed.open({ rootfs });
    const ready = await testbed.snapshot();
    await closeAll();
    await assert.rejects(Testbed.open({ from: ready }), hasCode('DISPOSED'));
    await testbed.close();
    await ready.dispose();
  });

  describe('that a suite prepares', () => {
    let runs = 0;
    const testbed = suiteTestbed(
      { before, after, beforeEach },
      { rootfs },
      {
        prepare: async (one) => {
          runs += 1;
          await one.run('echo prepared >/srv/state', { check: true });
        },
      },
    );
    for (const round of [1, 2]) {
      it(`is what each test begins with: ${round}`, async () => {
        assert.equal(runs, 1);
        const { stdout } = await testbed().run('cat /srv/state; echo test >>/srv/state');
        assert.equal(stdout, 'prepared\n');
      });
    }
  });

  it('is not made when a preparation of root hooks fails, and the testbed is closed', async () => {
    let testbed: Testbed | undefined;
    const hooks = testbedHooks(
      { rootfs },
      {
        prepare: (one) => {
          testbed = one;
          return one.run('exit 3', { check: true });
        },
      },
    );
    await assert.rejects(hooks.beforeAll());
    await assert.rejects(testbed?.run('true') ?? Promise.resolve(), hasCode('CLOSED'));
    const context: TestbedContext = {};
    await hooks.beforeEach.call(context);
    await hooks.afterEach.call(context);
    assert.deepEqual(context, {});
    await hooks.afterAll();
  });

  itWithUsers('in a network keeps its address, for one testbed at a time', async () => {
    const lab = await Laboratory.create();
    const network = await lab.network('net', ['10.9.0.0/24']);
    const testbed = await Testbed.open({ rootfs, network, hostname: 'one', address: '10.9.0.5' });
    await testbed.run('echo ready >/srv/state', { check: true });
    const ready = await testbed.snapshot();
    await assert.rejects(Testbed.open({ from: ready }), hasCode('ADDRESS_TAKEN'));
    await testbed.close();
    const fork = await Testbed.open({ from: ready });
    const { stdout } = await fork.run('cat /srv/state; grep -m 1 -ow 10.9.0.5 /proc/net/fib_trie');
    assert.equal(stdout, 'ready\n10.9.0.5\n');
    await fork.close();
    await ready.dispose();
    await lab.close();
  });
});
