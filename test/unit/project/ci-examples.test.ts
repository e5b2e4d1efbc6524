/** The examples of docs/farm.md: what CI systems read is what they say, and their calls of this program are right. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { parseWords } from '../../../src/command-line/parse.ts';
import { testbedFromWords } from '../../../src/command-line/testbed-options.ts';
import { projectDir } from '../../support/rootfs.ts';

const read = (name: string) => readFileSync(join(projectDir, 'docs', name), 'utf8');

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly if?: string;
  readonly with?: Readonly<Record<string, string>>;
}

/** The lines of shell that a job runs, joined where a backslash continues them. */
const joined = (text: string) => text.replaceAll(/\\\n\s*/g, ' ').split('\n');

/** The words behind the server's name in a line of shell, with its variables replaced. */
function serverWords(lines: readonly string[]): string[] {
  const [line, ...more] = lines.filter((each) => each.includes(' -- ts-unshare '));
  assert.ok(line !== undefined && more.length === 0);
  const [, words = ''] = / -- ts-unshare (.*?)(?: \|\| .*)?$/.exec(line) ?? [];
  return words
    .replaceAll('"$RELEASE"', 'trixie')
    .split(' ')
    .filter((word) => word !== '');
}

function acceptServerWords(words: readonly string[]): void {
  const options = testbedFromWords(parseWords('server', words), {});
  assert.equal(options.root.release, 'trixie');
}

/** Packages that a line of shell installs. */
const installed = (lines: readonly string[]) =>
  lines.flatMap((line) => /apt-get install (.*)$/.exec(line)?.[1]?.split(' ') ?? []);

/** The driver, what a testbed needs of the host, and what the build needs. */
const NEEDED = ['autopkgtest', 'mmdebstrap', 'zstd', 'uidmap', 'gcc', 'libc6-dev'];

describe('the example for GitLab CI', () => {
  const { autopkgtest: job } = parse(read('examples/gitlab-ci.yml'));
  const lines = [...job.before_script, ...job.script].flatMap(joined);

  it('calls the server with options that it has', () => acceptServerWords(serverWords(lines)));

  it('installs what is needed', () => {
    const packages = installed(lines);
    assert.deepEqual(
      [...NEEDED, 'nodejs', 'npm', 'git', 'mount'].filter((name) => !packages.includes(name)),
      [],
    );
  });

  it('allows skipped tests, and keeps the output of failed ones', () => {
    assert.deepEqual(job.allow_failure.exit_codes, [2, 8]);
    assert.equal(job.artifacts.when, 'always');
  });

  it('moves what it caches out of the tree that is tested, and back', () => {
    const [cached] = job.cache.paths;
    assert.ok(lines.some((line) => line.includes(`mv ${cached} ~/.cache/virt-ts-unshare/images`)));
    assert.ok(job.after_script.includes(`mv ~/.cache/virt-ts-unshare/images ${cached}`));
  });
});

describe('the example for GitHub Actions', () => {
  const { jobs, permissions } = parse(read('examples/github-actions.yml'));
  const steps: readonly Step[] = jobs.autopkgtest.steps;
  const lines = steps.flatMap(({ run = '' }) => joined(run));

  it('calls the server with options that it has', () => acceptServerWords(serverWords(lines)));

  it('installs what is needed, and has no rights that it does not need', () => {
    const packages = installed(lines);
    // Ubuntu has not the keys of Debian's archive.
    assert.deepEqual(
      [...NEEDED, 'debian-archive-keyring'].filter((name) => !packages.includes(name)),
      [],
    );
    assert.deepEqual(permissions, { contents: 'read' });
  });

  it('lets an ordinary user make namespaces before it uses them', () => {
    const at = (text: string) => lines.findIndex((line) => line.includes(text));
    assert.ok(at('kernel.apparmor_restrict_unprivileged_userns=0') < at('virt-ts-unshare doctor'));
    assert.ok(at('usermod --add-subuids') < at('virt-ts-unshare doctor'));
  });

  it('allows skipped tests, and keeps the output of failed ones', () => {
    assert.ok(lines.some((line) => line.includes('case $status in 0 | 2 | 8)')));
    assert.equal(steps.find(({ uses }) => uses?.startsWith('actions/upload-artifact@'))?.if, 'always()');
  });
});

describe('the options of containers in docs/farm.md', () => {
  it('are those that the doctor names', () => {
    const diagnosis = readFileSync(join(projectDir, 'src/doctor/diagnosis.ts'), 'utf8');
    for (const option of [
      'seccomp=unconfined',
      'apparmor=unconfined',
      'systempaths=unconfined',
      'unmask=ALL',
    ]) {
      assert.ok(diagnosis.includes(`--security-opt ${option}`), option);
      assert.ok(read('farm.md').includes(`--security-opt ${option}`), option);
    }
  });
});

describe('the example for debusine', () => {
  it('is a request for its own executor', () => {
    const task = parse(read('examples/debusine-task.yaml'));
    assert.equal(task.backend, 'unshare');
    assert.deepEqual(Object.keys(task.input), ['source_artifact', 'binary_artifacts']);
  });
});
