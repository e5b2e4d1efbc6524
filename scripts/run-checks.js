// Runs the checks; the last line is `N passed, N failed`, and all failures stand before it. Mocha runs and counts the tests.
// A check that crashes, hangs or reports no counts is one failure. Root runs the tests as root and as an ordinary user, and those
// with drivers, at the same time: they wait more than they compute. Arguments: the checks to run, by the start of a name (default: all).
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
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

/** Tests that make namespaces, and those of them that are done soon. */
const ofNamespaces = [tests('real', 25), tests('fault', 15), tests('race', 20)];
const [fuzzTests, escapeTests] = [tests('fuzz', 10), tests('escape', 10)];
/** Tests that start drivers, or the examples. */
const ofDrivers = [tests('driver', 25), tests('examples', 10)];

/** Files whose results do not depend on the caller: where root runs all tests, each of them runs once. */
const ONCE = {
  'as an ordinary user': [
    'test/fuzz/helper.test.ts',
    'test/fuzz/soak.test.ts',
    'test/driver/release.test.ts',
    'test/driver/sbuild.test.ts',
    'test/examples/**',
    'test/real/command-line/**',
    'test/real/events/**',
    'test/real/library/**',
    'test/real/rootfs/commit.test.ts',
    'test/real/testbed/fuse.test.ts',
    'test/real/testbed/one-id.test.ts',
    'test/real/testbed/packages.test.ts',
    'test/real/verbs/rootfs.test.ts',
  ],
  'as root': [
    'test/fuzz/older-kernel.test.ts',
    'test/fuzz/shell.test.ts',
    'test/driver/container-image.test.ts',
    'test/driver/debci.test.ts',
    'test/driver/options.test.ts',
    'test/driver/sources.test.ts',
    'test/real/helper/drain.test.ts',
    'test/real/lab/**',
    'test/real/project/**',
    'test/real/protocol/**',
    'test/real/rootfs/container-images.test.ts',
    'test/real/test-runner/**',
  ],
};

/** Whose /bin/sh each of them races with, where root runs all tests: what a shell does with the output does not depend on the caller. */
const RACE_SHELLS = { 'as an ordinary user': 'dash,bash,mksh,busybox', 'as root': 'dash,arm64' };

const isRoot = process.getuid() === 0;

/** The checks of one caller, without those that the other one runs. */
function sequence(checks, caller, ...prefix) {
  const others = Object.entries(ONCE).flatMap(([other, files]) => (other === caller ? [] : files));
  return checks
    .filter(({ name }) => !others.includes(`test/${name}/**`))
    .map(({ name, argv, ...check }) => ({
      ...check,
      name: `${name}, ${caller}`,
      argv: [
        ...prefix,
        'env',
        `RACE_SHELLS=${RACE_SHELLS[caller]}`,
        ...argv,
        ...others.map((file) => `--ignore=${file}`),
      ],
    }));
}

const asUser = (checks) => sequence(checks, 'as an ordinary user', 'scripts/as-test-user');
const asRoot = (checks) => sequence(checks, 'as root');

const first = [
  lint('types', 'node_modules/.bin/tsc', '--noEmit'),
  lint('types of the site', 'node_modules/.bin/tsc', '--noEmit', '-p', 'site'),
  lint('lint', 'node_modules/.bin/biome', 'check', '.'),
  lint('compiler', 'gcc', ...C_OPTIONS, ...filesBelow('helper').filter((file) => file.endsWith('.c'))),
  lint('shellcheck', 'shellcheck', '--shell=dash', '-x', ...shellScripts),
  tests('unit', 5, '--parallel', '--jobs=2'),
];
/** Each is a sequence; the sequences run at the same time. */
const sequences = isRoot
  ? [
      asUser([...ofNamespaces, fuzzTests, escapeTests]),
      asRoot([...ofNamespaces, fuzzTests, escapeTests]),
      [...asRoot(ofDrivers), ...asUser(ofDrivers)],
    ]
  : [[...ofNamespaces, fuzzTests, escapeTests, ...ofDrivers]];

const work = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
chmodSync(work, 0o755);
const running = new Set();
let stopped = false;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    stopped = true;
    for (const child of running) child.kill('SIGTERM');
  });
}

/** Runs one check to its end and gives its exit status, or the signal that killed it. */
async function run({ argv, minutes }, countsFile, output) {
  // timeout(1) ends a check that hangs, and all of its process group.
  const child = spawn('timeout', ['--kill-after=10', `${minutes}m`, ...argv], {
    stdio: ['ignore', output, output],
    env: { ...process.env, VIRT_TS_UNSHARE_TEST_COUNTS: countsFile },
    // A session of its own: the tests then have no terminal, as in CI.
    detached: true,
  });
  running.add(child);
  const [status, signal] = await once(child, 'exit');
  running.delete(child);
  return status ?? signal;
}

/** What the check reports about its tests, or the check itself as one test. */
function count({ name, counts }, status, countsFile) {
  const none = { passed: 0, failed: 0, skipped: 0, failures: [], files: [] };
  const failure = (why) => ({ ...none, failed: 1, failures: [{ title: name, error: [why] }] });
  if (!counts) return status === 0 ? { ...none, passed: 1 } : failure(`status ${status}`);
  const text = readFileSync(countsFile, 'utf8');
  if (text === '') return failure(`no counts were reported; status ${status}`);
  const counted = JSON.parse(text);
  // The status of mocha is the number of failures. Another failure than those is one more.
  return status !== 0 && counted.failed === 0
    ? { ...counted, ...failure(`status ${status} without a failure`), passed: counted.passed }
    : counted;
}

const total = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
const durations = [];

async function perform(check, { capture }) {
  const stem = join(work, check.name.replace(/\W+/g, '-'));
  const countsFile = `${stem}.json`;
  writeFileSync(countsFile, '');
  chmodSync(countsFile, 0o666);
  if (!capture) console.log(`\n== ${check.name}`);
  const output = capture ? openSync(`${stem}.log`, 'w') : 'inherit';
  const started = performance.now();
  const status = await run(check, countsFile, output);
  if (capture) {
    closeSync(output);
    console.log(`\n== ${check.name}`);
    process.stdout.write(readFileSync(`${stem}.log`));
  }
  const { passed, failed, skipped, failures: found, files } = count(check, status, countsFile);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  // 124 and SIGKILL are timeout's.
  const why = status === 124 || status === 'SIGKILL' ? `, ended after ${check.minutes} minutes` : '';
  console.log(`-- ${check.name}: ${passed} ok, ${failed} not ok, ${skipped} skipped, ${seconds} s${why}`);
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
  failures.push(...found.map((one) => ({ check: check.name, ...one })));
  durations.push(...files.map((one) => ({ check: check.name, ...one })));
}

async function performAll(checks, options) {
  for (const check of checks) if (!stopped) await perform(check, options);
}

const names = process.argv.slice(2);
const isChosen = ({ name }) => names.length === 0 || names.some((start) => name.startsWith(start));
await performAll(first.filter(isChosen), { capture: false });
const chosen = sequences.map((checks) => checks.filter(isChosen)).filter((checks) => checks.length > 0);
if (chosen.length > 1)
  console.log('\nThe tests of each user run at the same time; their output follows at the end of each part.');
await Promise.all(chosen.map((checks) => performAll(checks, { capture: chosen.length > 1 })));
rmSync(work, { recursive: true, force: true });

console.log('\nThe slowest files of tests, in seconds:');
for (const { check, file, duration } of durations.sort((a, b) => b.duration - a.duration).slice(0, 40))
  console.log(`${(duration / 1000).toFixed(1).padStart(8)}  ${file} (${check})`);
if (total.skipped > 0) console.log(`\n${total.skipped} skipped; the title of each has the reason`);
for (const { check, title, error } of failures) {
  console.log(`\nFAILED ${check}: ${title}\n${error.map((line) => `    ${line}`).join('\n')}`);
}
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = stopped ? 130 : total.failed === 0 && total.passed > 0 ? 0 : 1;
