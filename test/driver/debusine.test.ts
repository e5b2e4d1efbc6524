/** A worker of debusine with the settings of docs/examples: its call of autopkgtest starts this server in place of Debian's. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { autopkgtest, removeScratch, scratchDir } from '../support/autopkgtest.ts';
import { PROGRAM } from '../support/program.ts';
import { projectDir, testTarball } from '../support/rootfs.ts';
import { describeWithUsers } from '../support/skip.ts';

describeWithUsers('a worker of debusine', function () {
  this.timeout('5m');
  after(removeScratch);

  it('tests a package in a testbed', async () => {
    const settings = readFileSync(`${projectDir}docs/examples/debusine-worker.conf`, 'utf8');
    const [, folder, link] = /ln -s \/usr\/bin\/virt-ts-unshare (\S+)\/(\S+)$/m.exec(settings) ?? [];
    assert.ok(folder !== undefined && link !== undefined);
    assert.ok(settings.includes(`\nEnvironment=PATH=${folder}:`));
    const first = `${scratchDir()}/first`;
    mkdirSync(first);
    // What the link leads to, with a note that it was started.
    writeFileSync(`${first}/${link}`, `#!/bin/sh\n: >${first}/started\nexec ${PROGRAM} "$@"\n`, {
      mode: 0o755,
    });
    // As debusine 0.16 calls it for its backend `unshare`.
    const run = await autopkgtest({
      args: ['--no-built-binaries', '--copy=/etc/resolv.conf:/etc/resolv.conf', 'mock-packages/allow-stderr'],
      server: 'unshare',
      serverArgs: ['--arch', 'amd64', '--release', 'bookworm', '--tarball', testTarball('build')],
      env: { PATH: `${first}:${process.env.PATH}` },
    });
    assert.equal(run.status, 0, run.log);
    assert.equal(run.summary.talks, 'PASS');
    assert.ok(existsSync(`${first}/started`));
  });
});
