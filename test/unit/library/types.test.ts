import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { projectDir } from '../../support/rootfs.ts';

describe("the library's types", function () {
  this.timeout(60_000);

  it('allow and refuse what test/types expects, as a user of the built package sees them', () => {
    assert.ok(existsSync(`${projectDir}dist/types/index.d.ts`), 'run npm run build');
    const tsc = () =>
      execFileSync('node_modules/.bin/tsc', ['-p', 'test/types'], { cwd: projectDir, encoding: 'utf8' });
    assert.equal(tsc(), '');
  });
});
