/** The examples of every --help, pasted into a shell. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VERBS } from '../../../src/verbs.ts';
import { call, Terminal, virt } from '../../support/program.ts';
import { cacheOfReleases, projectDir, testTarball } from '../../support/rootfs.ts';

/** Not for here: what asks the archive for a package or a root filesystem, what uses an image that was made so, and tests of packages. */
const LEFT_OUT = /^autopkgtest |^virt-ts-unshare test |\bdebci |rootfs build|\bpostgres\b/;
const ON_A_TERMINAL = /^virt-ts-unshare shell/;

describe('the examples of --help', function () {
  this.timeout(120_000);
  let folder: string;
  let env: Record<string, string>;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-help-'));
    // Root of a testbed that it is bound into is one of the others.
    chmodSync(folder, 0o755);
    env = { XDG_CACHE_HOME: cacheOfReleases(folder), PATH: `${projectDir}bin:${process.env.PATH}` };
    writeFileSync(join(folder, 'Makefile'), 'check:\n\techo checked\n');
    for (const output of ['out', 'yesterday', 'today']) {
      mkdirSync(join(folder, output));
      writeFileSync(join(folder, output, 'summary'), 'smoke                PASS\n');
    }
  });
  after(async () => {
    await virt(['rootfs', 'prune', '--max-age', '0'], { env });
    rmSync(folder, { recursive: true });
  });

  async function openMine(command: readonly string[]): Promise<void> {
    const { status, stderr } = await virt(
      ['run', '--detach', '--name', 'mine', '--tarball', testTarball(), ...command],
      { env },
    );
    assert.equal(status, 0, stderr);
  }

  async function examplesOf(...words: string[]): Promise<string[]> {
    const { stdout } = await virt([...words, '--help']);
    const [, text = ''] = /^Examples?\b.*:\n((?: {2}.*\n)+)/m.exec(stdout) ?? [];
    const lines = text.split('\n').flatMap((line) => (line === '' ? [] : [line.trim()]));
    assert.ok(lines.length > 0, stdout);
    return lines.filter((line) => !LEFT_OUT.test(line));
  }

  for (const verb of [undefined, ...Object.keys(VERBS)]) {
    it(`of ${verb ?? 'the server'} work`, async () => {
      const lines = await examplesOf(...(verb === undefined ? [] : [verb]));
      const isOfMine = lines.some((line) => line.includes(' mine'));
      if (isOfMine) await openMine(verb === 'logs' ? ['--', 'sleep', '1'] : []);
      try {
        for (const line of lines.filter((each) => !ON_A_TERMINAL.test(each))) {
          const { status, stderr } = await call(['sh', '-ec', line], { cwd: folder, env });
          assert.equal(status, 0, `${line}: ${stderr}`);
        }
        for (const line of lines.filter((each) => ON_A_TERMINAL.test(each))) {
          const terminal = new Terminal(['sh', '-c', `cd ${folder} && ${line}`], env);
          terminal.type('exit 3\n');
          await terminal.shows('status=3');
          await terminal.close();
        }
      } finally {
        if (isOfMine) await virt(['close', 'mine']);
      }
    });
  }
});
