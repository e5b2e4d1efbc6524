/** A root filesystem from skopeo serves the real autopkgtest: apt-get update, and a mock package. */
import assert from 'node:assert/strict';
import { autopkgtest, removeScratch, scratchDir } from '../support/autopkgtest.ts';
import { asExpected, mockPackagesDir, readManifest } from '../support/mock-packages.ts';
import { virt } from '../support/program.ts';
import { testTarball } from '../support/rootfs.ts';
import { describeWithUsers } from '../support/skip.ts';
import { layeredImage, skopeo } from '../support/skopeo.ts';

describeWithUsers('autopkgtest with an image from skopeo', function () {
  this.timeout('4m');
  const folder = scratchDir();
  const env = { XDG_CACHE_HOME: `${folder}/cache` };
  before(async () => {
    skopeo(`oci:${layeredImage(folder, testTarball())}:made`, `oci-archive:${folder}/image.tar`);
    const { status, stderr } = await virt(['rootfs', 'import', `${folder}/image.tar`, 'from-skopeo'], {
      env,
    });
    assert.deepEqual([status, stderr], [0, '']);
  });
  after(async () => {
    await virt(['rootfs', 'prune', '--all'], { env });
    removeScratch();
  });

  const entry = readManifest().find((each) => each.package === 'hello');

  it('runs apt-get update, a mock package, and commands with the environment of the image', async () => {
    assert.ok(entry !== undefined);
    const run = await autopkgtest({
      args: [
        '--apt-upgrade',
        '--setup-commands=of-the-image >/dev/null && test "$OF_THE_IMAGE" = "a value"',
        ...entry.options,
        `${mockPackagesDir}/hello`,
      ],
      serverArgs: ['--release', 'from-skopeo', ...(entry.serverOptions ?? [])],
      env,
    });
    assert.deepEqual(
      { status: run.status, tests: asExpected(entry.tests, run.summary) },
      { status: entry.status, tests: entry.tests },
      run.log,
    );
    assert.match(run.log, /Reading package lists|Hit:|Get:/);
  });
});
