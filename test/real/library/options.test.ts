/** The options of Testbed.open: what is refused, and how. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { closeAll, Network, Testbed, UsageError, VirtError } from '../../../src/index.ts';
import { testTarball } from '../../support/rootfs.ts';

describe('opening by the library', function () {
  this.timeout(120_000);
  after(() => closeAll());

  it('refuses wrong options before anything is made, and names the remedy', async () => {
    for (const [options, sentence] of [
      [{ rootfs: '/absent' }, /rootfs \/absent cannot be used: .*; name a tarball or a directory/],
      [{ scratch: 'tmpfs:much' as const }, /scratch is tmpfs:much/],
      [{ copyTimeout: 0 }, /copyTimeout is 0/],
      [{ bind: [{ outside: '/usr', inside: 'usr' }] }, /inside of bind is usr/],
      [{ rootfs: testTarball(), release: 'trixie' }, /rootfs and release exclude each other/],
      [
        { rootfs: testTarball(), bind: [{ outside: '/absent', inside: '/a' }] },
        /^outside of bind \/absent does not exist; name one that this user can reach/,
      ],
    ] as const) {
      await assert.rejects(Testbed.open(options), (error) => {
        assert.ok(error instanceof UsageError);
        assert.match(error.message, sentence);
        assert.ok(error.remedy);
        return true;
      });
    }
  });

  it('refuses options that types would have caught', async () => {
    // A name and addresses are taken in it only after the checks.
    const network = { member: () => assert.fail('a place was taken') };
    for (const [options, sentence] of [
      [{ rootf: '/' }, /open has no option rootf \(did you mean rootfs\); it has rootfs, /],
      [{ rootfs: 5 }, /rootfs is 5; give the path/],
      [{ release: 5 }, /release is 5/],
      [{ maxCopyBytes: '5' }, /maxCopyBytes is 5/],
      [{ maxCopyBytes: 1.5 }, /maxCopyBytes is 1.5; give a whole number/],
      [{ maxProcesses: 1.5 }, /maxProcesses is 1.5; give a whole number/],
      [{ maxMemory: Infinity }, /maxMemory is Infinity; give a whole number/],
      [{ from: undefined }, /from is undefined; give what testbed.snapshot\(\) resolved with/],
      [{ network: 'mine' }, /network is mine; give one of host, none, private/],
      [{ mode: 'fast' }, /mode is fast; give one of overlay, copy/],
      [{ hostname: 'A_b' }, /hostname is A_b; use small letters/],
      [null, /what open has as options is null; give an object/],
      ['trixie', /what open has as options is trixie; give an object/],
      [{ bind: { outside: '/usr', inside: '/u' } }, /bind is an object; give a list of/],
      [{ bind: ['/usr:/u'] }, /bind is \/usr:\/u; write \{ outside, inside \} for each/],
      [{ arch: 'x86_64' }, /^arch x86_64 is not Debian's name .*did you mean amd64/],
      [{ bind: [null] }, /what bind has as options is null/],
      [
        { bind: [{ outside: '/usr', inside: '/u', readonly: true }] },
        /bind has no option readonly \(did you mean readOnly\); it has/,
      ],
      [{ bind: [{ outside: '/usr', inside: '/u', readOnly: 1 }] }, /readOnly of bind is 1/],
      [{ hostname: 5 }, /hostname is 5/],
      [{ signal: 5 }, /signal is 5; give an AbortSignal/],
      [{ network: null }, /network is null; give host, none, private or a Network/],
      [{ network: 'private', publish: '8080:80' }, /publish is 8080:80; give a list/],
      [{ network, dns: 5 }, /dns is 5; give an address, or a list/],
      [{ network, outside: 'yes' }, /outside is yes; give true or false/],
      [{ publish: ['80'] }, /publish needs a network.*; give network: 'private'/],
    ] as const) {
      await assert.rejects(Reflect.apply(Testbed.open, Testbed, [options]), (error) => {
        assert.ok(error instanceof UsageError);
        assert.match(error.message, sentence);
        return true;
      });
    }
    assert.throws(() => Reflect.construct(Testbed, []), {
      message: /a Testbed is not constructed; write await Test/,
    });
    await assert.rejects(Reflect.apply(Network.create, Network, [{}]), /needs one subnet/);
  });

  it('takes the path of a scratch directory as it is written, and leaves nothing there', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
    // Root of the testbed is another user.
    chmodSync(folder, 0o755);
    try {
      const one = await Testbed.open({ rootfs: testTarball(), scratch: `/${folder.slice(1)}/./` });
      assert.equal((await one.run('echo x >/file')).status, 0);
      assert.equal(readdirSync(folder).length, 1);
      await one.close();
      assert.deepEqual(readdirSync(folder), []);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('distinguishes a failed open from a failed command, and tries again', async () => {
    const empty = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
    try {
      await assert.rejects(Testbed.open({ rootfs: empty }), VirtError);
      await assert.rejects(Testbed.open({ rootfs: empty }), VirtError);
    } finally {
      rmSync(empty, { recursive: true });
    }
  });
});
