// Runs the checks one after the other; the last line is `N passed, N failed`. Mocha runs and counts the tests. A check that
// crashes, hangs or reports no counts is one failure. Arguments: the checks to run, by the start of a name (default: all).
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The files below a directory, by their paths from that of the project. */
function filesBelow(directory) {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

const shellScripts = ['.ci', 'bin', 'debci', 'scripts', 'src', 'test', 'bench', 'docs']
  .flatMap(filesBelow)
  .filter((file) => file.endsWith('.sh') || /^#! ?\/bin\/sh/.test(readFileSync(file, 'utf8')));

const C_OPTIONS = [
  ...['-std=c17', '-O2', '-fsyntax-only', '-fanalyzer'],
  ...['-Wall', '-Wextra', '-Wpedantic', '-Wconversion', '-Werror'],
];

/** What checks the sources without running them. */
const lint = (name, ...argv) => ({ name, argv, minutes: 5 });

/** The tests in a directory of test/. */
function tests(directory, minutes, ...options) {
  const mocha = ['node', 'node_modules/mocha/bin/mocha.js', '--reporter=test/support/count-reporter.cjs'];
  const argv = [...mocha, ...options, `test/${directory}/**/*.test.ts`];
  return { name: directory, argv, minutes, counts: true };
}

/** Tests that make namespaces: root runs them as the ordinary user of the tests too. */
function testsOfNamespaces(directory, minutes) {
  const check = tests(directory, minutes);
  if (process.getuid() !== 0) return [check];
  const argv = ['scripts/as-test-user', ...check.argv];
  return [
    { ...check, name: `${directory}, as an ordinary user`, argv },
    { ...check, name: `${directory}, as root` },
  ];
}

const checks = [
  lint('types', 'node_modules/.bin/tsc', '--noEmit'),
  lint('lint', 'node_modules/.bin/biome', 'check', '.'),
  lint('compiler', 'gcc', ...C_OPTIONS, ...filesBelow('helper').filter((file) => file.endsWith('.c'))),
  lint('shellcheck', 'shellcheck', '--shell=dash', '-x', ...shellScripts),
  tests('unit', 5, '--parallel', '--jobs=2'),
  ...testsOfNamespaces('real', 15),
  ...testsOfNamespaces('fault', 15),
  ...testsOfNamespaces('race', 15),
  ...testsOfNamespaces('driver', 20),
  ...testsOfNamespaces('examples', 10),
];

/** Runs one check to its end and gives its exit status, or the signal that killed it. */
async function run({ argv, minutes }, countsFile) {
  // timeout(1) ends a check that hangs, and all of its process group.
  const child = spawn('timeout', ['--kill-after=10', `${minutes}m`, ...argv], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, VIRT_TS_UNSHARE_TEST_COUNTS: countsFile },
    // A session of its own: the tests then have no terminal, as in CI.
    detached: true,
  });
  const stop = () => {
    process.exitCode = 130;
    child.kill('SIGTERM');
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const [status, signal] = await once(child, 'exit');
  process.off('SIGINT', stop).off('SIGTERM', stop);
  return status ?? signal;
}

function count({ counts }, status, countsFile) {
  const failure = { passed: 0, failed: 1, skipped: 0 };
  if (!counts) return status === 0 ? { passed: 1, failed: 0, skipped: 0 } : failure;
  const text = readFileSync(countsFile, 'utf8');
  if (text === '') return failure;
  const counted = JSON.parse(text);
  // The status of mocha is the number of failures. Another failure than those is one more.
  return status !== 0 && counted.failed === 0 ? { ...counted, failed: 1 } : counted;
}

const names = process.argv.slice(2);
const chosen = checks.filter(
  ({ name }) => names.length === 0 || names.some((start) => name.startsWith(start)),
);
const work = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
chmodSync(work, 0o755);
const total = { passed: 0, failed: 0, skipped: 0 };
for (const [index, check] of chosen.entries()) {
  console.log(`\n== ${check.name}`);
  const countsFile = join(work, `${index}.json`);
  writeFileSync(countsFile, '');
  chmodSync(countsFile, 0o666);
  const started = performance.now();
  const status = await run(check, countsFile);
  const { passed, failed, skipped } = count(check, status, countsFile);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  // 124 and SIGKILL are timeout's.
  const why = status === 124 || status === 'SIGKILL' ? `, ended after ${check.minutes} minutes` : '';
  console.log(`-- ${check.name}: ${passed} ok, ${failed} not ok, ${skipped} skipped, ${seconds} s${why}`);
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
  if (process.exitCode === 130) break;
}
rmSync(work, { recursive: true, force: true });
if (total.skipped > 0) console.log(`\n${total.skipped} skipped; the title of each has the reason`);
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode ||= total.failed === 0 && total.passed > 0 ? 0 : 1;
