/** The commands of docs/install.md, which `npm run newcomer` runs in machines as their installer leaves them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { blocksOf, RELEASES, type Release, scriptOf, stepsOf, WAYS } from '../../newcomer/steps.ts';
import { call } from '../../support/program.ts';
import { projectDir } from '../../support/rootfs.ts';

const read = (name: string) => readFileSync(`${projectDir}${name}`, 'utf8');

describe('docs/install.md', () => {
  const page = read('docs/install.md');
  const releases = Object.keys(RELEASES).filter((name): name is Release => name in RELEASES);

  for (const release of releases) {
    for (const way of WAYS) {
      it(`has the commands of ${release}/${way}, from Node.js to a completion`, async () => {
        const steps = stepsOf(page, way, release);
        assert.equal(steps[0]?.title, 'Node.js');
        assert.equal(steps.at(-1)?.title, 'a completion');
        const script = scriptOf(steps, 180);
        for (const word of ['autopkgtest ', 'shell --release', 'withTestbed', 'man '])
          assert.ok(script.includes(word), word);
        const { status, stderr } = await call(['sh', '-n', '-c', script]);
        assert.deepEqual([status, stderr], [0, '']);
      });
    }
  }

  it('has no block of code that no newcomer runs', () => {
    const scripts = releases.flatMap((release) =>
      WAYS.map((way) => scriptOf(stepsOf(page, way, release), 180).replaceAll("'\\''", "'")),
    );
    const lines = [...blocksOf(page).values()]
      .flat()
      .flatMap((block) => block.split('\n').filter((line) => line !== ''));
    assert.deepEqual(
      lines.filter((line) => !scripts.some((script) => script.includes(line.trim()))),
      [],
    );
  });

  it('is what README.md leads to', () => assert.match(read('README.md'), /\(docs\/install\.md\)/));
});
