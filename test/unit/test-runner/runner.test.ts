import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseWords } from '../../../src/command-line/parse.ts';
import { silentLog } from '../../../src/log.ts';
import { Runner } from '../../../src/test-runner/runner.ts';

/** A driver whose tests pass, in place of autopkgtest. */
const DRIVER = `#!/bin/sh
for word; do case $word in --output-dir=*) out=\${word#*=} ;; --test-name=*) name=\${word#*=} ;; esac; done
mkdir "$out"; echo "$name" >"$out/$name-stdout"; echo "$name PASS" >"$out/summary"
`;

describe('a run of tests in which something of the machine fails', () => {
  let folder: string;
  const { PATH } = process.env;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-runner-'));
    mkdirSync(join(folder, 'bin'));
    writeFileSync(join(folder, 'bin/autopkgtest'), DRIVER, { mode: 0o755 });
    process.env.PATH = `${join(folder, 'bin')}:${PATH}`;
  });
  afterEach(() => {
    process.env.PATH = PATH;
    rmSync(folder, { recursive: true });
  });

  it('keeps the results that there are, and ends with the status of another failure', async () => {
    const [output, build] = [join(folder, 'output'), join(folder, 'build')];
    for (const path of [output, build]) mkdirSync(path);
    const warnings: string[] = [];
    let made = 0;
    const next = (): string => {
      made += 1;
      if (made > 1) throw Object.assign(new Error('ENOSPC: no space left, mkdir'), { code: 'ENOSPC' });
      return join(folder, 'first');
    };
    const nothing = () => {};
    const runner = new Runner(
      {
        ...{ words: parseWords('test', []), server: parseWords('server', []), packages: ['./x'], jobs: 1 },
        folders: { output, temporary: folder, next, remove: nothing },
        screen: {
          ...{
            phase: nothing,
            begin: nothing,
            step: nothing,
            result: nothing,
            forget: nothing,
            end: nothing,
          },
          warn: (text) => warnings.push(text),
        },
        ...{ log: silentLog, signal: new AbortController().signal, privateNetworks: false },
      },
      {
        ...{ kind: 'ready', folder: build, skipped: [], args: () => [], server: () => ['server'] },
        package: { tests: [], skipped: [], tree: folder, debs: [], version: '6' },
        units: ['one', 'two'].map((name, position) => ({
          ...{ name, position, count: 1, setting: { network: 'given', prepared: position === 0 } },
        })),
      },
    );
    const { status, summary } = await runner.run();
    assert.equal(status, 20);
    assert.deepEqual(
      summary.results.map(({ name, outcome }) => [name, outcome]),
      [['one', 'PASS']],
    );
    assert.match(summary.notes.join(), /^quitting: .*ENOSPC.*; free space on that file system$/);
    assert.equal(warnings.length, 1);
    assert.equal(readFileSync(join(output, 'one-stdout'), 'utf8'), 'one\n');
    assert.match(readFileSync(join(output, 'summary'), 'utf8'), /^one +PASS\nquitting: /);
  });
});
