/** The transcripts of docs/manual.md, run again. What differs from run to run is a number, a path of an image, or an ellipsis. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { call, virt } from '../../support/program.ts';
import { cacheOfReleases, projectDir } from '../../support/rootfs.ts';
import { describeWithUsers } from '../../support/skip.ts';

interface Step {
  readonly line: string;
  readonly output: string;
}

function transcripts(): Step[] {
  const text = readFileSync(`${projectDir}docs/manual.md`, 'utf8');
  return [...text.matchAll(/^```console\n(.*?)^```$/gms)].flatMap(([, block = '']) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((part) => ({
        line: part.slice(0, part.indexOf('\n')),
        output: part.slice(part.indexOf('\n') + 1),
      })),
  );
}

/** Columns are as wide as their longest word. */
const settled = (output: string) =>
  output
    .replaceAll(/\S+\/images\/(\S+?)\.tar\S*/g, '$1')
    .replaceAll(/one of [a-z, …]+, or --help/g, 'one of …')
    .replaceAll(/(?<!status )\b\d+(\.\d+)?[KMG]?\b/g, '0')
    .replaceAll(/ +/g, ' ');

describeWithUsers('docs/manual.md', function () {
  this.timeout(120_000);
  let folder: string;
  let env: Record<string, string>;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-manual-'));
    env = { XDG_CACHE_HOME: cacheOfReleases(folder), PATH: `${projectDir}bin:${process.env.PATH}` };
    // Unpacking may take long enough to be reported.
    await virt(['run', '--release', 'trixie', '--', 'true'], { env });
  });
  after(async () => {
    await virt(['close', 'web'], { env });
    await virt(['rootfs', 'prune', '--all'], { env });
    rmSync(folder, { recursive: true });
  });

  it('shows what is printed', async () => {
    const steps = transcripts();
    assert.ok(steps.length > 20, String(steps.length));
    for (const { line, output } of steps) {
      // Others may have testbeds open.
      const alone = line === 'virt-ts-unshare ps' ? `${line} | grep -w -e PID -e web` : line;
      const { stdout } = await call(['sh', '-c', `{ ${alone}\n} 2>&1`], { cwd: folder, env });
      assert.equal(settled(stdout), settled(output), line);
    }
  });
});
