/** Every mock package through the real autopkgtest: its exit status, its summary, and what it leaves behind. */
import assert from 'node:assert/strict';
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { autopkgtest, type DriverRun, removeScratch, scratchDir } from '../support/autopkgtest.ts';
import { readEvents } from '../support/event-schema.ts';
import { asExpected, mockPackagesDir, readManifest } from '../support/mock-packages.ts';
import { testTarball } from '../support/rootfs.ts';
import { describeWithUsers } from '../support/skip.ts';

function numbers(count: number, prefix = ''): string {
  return Array.from({ length: count }, (_, index) => `${prefix}${index + 1}\n`).join('');
}

/** What more there is to see of a run than its summary. */
const checks: Readonly<Record<string, (run: DriverRun) => void>> = {
  output({ outputDir }) {
    assert.equal(readFileSync(`${outputDir}/large-stdout`, 'utf8'), numbers(300_000));
    assert.equal(readFileSync(`${outputDir}/large-stderr`, 'utf8'), numbers(300_000));
  },
  // The driver's own wrapper.sh (5.28) kills a tee that is still at work, so an end may be missing, on a busy machine all of it
  // (and then the driver keeps no file); nothing else may.
  tee({ outputDir }) {
    const seq = numbers(50_000);
    for (const stream of ['stdout', 'stderr']) {
      const expected = `${seq}end-of-${stream}\n`;
      const arrived = textIfThere(`${outputDir}/${stream}-${stream}`);
      assert.ok(expected.startsWith(arrived), arrived.slice(-200));
      assert.ok(expected.startsWith(textIfThere(`${outputDir}/artifacts/${stream}-copy`)));
    }
    const expected = `${numbers(2000, 'two one ')}two one end-of-chain\n`;
    assert.ok(expected.startsWith(textIfThere(`${outputDir}/chain-stdout`)));
  },
  artifacts({ outputDir }) {
    const folder = `${outputDir}/artifacts`;
    assert.deepEqual(
      readdirSync(Buffer.from(folder), { encoding: 'buffer' })
        .map((name) => name.toString('latin1'))
        .sort(),
      [
        '*',
        '-rf',
        'a name with spaces',
        'caf\xe9',
        'dangling',
        'deep',
        'empty',
        'executable',
        'it\'s "quoted"',
        'link',
        'long',
        'nothing',
        'plain',
        'sparse',
        'two\nlines',
      ],
    );
    assert.equal(readFileSync(`${folder}/deep/er/file`, 'utf8'), 'deep\n');
    assert.equal(readFileSync(`${folder}/two\nlines`, 'utf8'), 'newline\n');
    assert.equal(readFileSync(`${folder}/long`, 'utf8'), numbers(100_000));
    assert.equal(readFileSync(`${folder}/nothing`, 'utf8'), '');
    assert.equal(lstatSync(`${folder}/sparse`).size, 1 << 20);
    assert.equal(lstatSync(`${folder}/executable`).mode & 0o777, 0o755);
    assert.equal(lstatSync(`${folder}/plain`).mode & 0o777, 0o644);
    assert.equal(lstatSync(`${folder}/plain`).uid, process.getuid?.());
    assert.deepEqual(readdirSync(`${folder}/empty`), []);
    assert.equal(readlinkSync(`${folder}/link`), 'plain');
    assert.equal(readlinkSync(`${folder}/dangling`), '/nowhere/at/all');
  },
};

function textIfThere(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

describeWithUsers('autopkgtest on the mock packages', function () {
  this.timeout('3m');
  after(removeScratch);

  for (const entry of readManifest()) {
    it(`${entry.package}: ${entry.about}`, async () => {
      const events = join(scratchDir(), 'events');
      const run = await autopkgtest({
        args: [...entry.options, `${mockPackagesDir}/${entry.package}`],
        serverArgs: [
          '--tarball',
          testTarball(entry.image ?? 'build'),
          ...(entry.serverOptions ?? []),
          `--events=${events}`,
        ],
      });
      assert.deepEqual(
        { status: run.status, tests: asExpected(entry.tests, run.summary) },
        { status: entry.status, tests: entry.tests },
        run.log,
      );
      checks[entry.package]?.(run);
      assert.equal(readEvents(events).at(-1)?.event, 'end');
    });
  }
});
