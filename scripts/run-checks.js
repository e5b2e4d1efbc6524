// Runs every check one after the other and ends with one line `N passed, N failed`. A check that crashes, hangs or
// tells no figures counts as one failure. Arguments: names of checks to run (default: all).
import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const asRoot = process.getuid() === 0;
const MINUTE = 60_000;

/** Every file below the folder, by its path from the project's own; an absent folder has none. */
function filesBelow(folder) {
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Shell scripts by their name or first line. */
function shellScripts() {
  const files = ['.ci', 'bin', 'scripts', 'src', 'test', 'bench', 'docs', 'examples'].flatMap(filesBelow);
  return files.filter((file) => file.endsWith('.sh') || /^#! ?\/bin\/sh/.test(readFileSync(file, 'utf8')));
}

const mocha = (pattern) => [
  'node',
  'node_modules/mocha/bin/mocha.js',
  '--import=tsx',
  '--reporter=test/support/count-reporter.cjs',
  // A test that failed may leave what would keep the program from ending.
  '--exit',
  pattern,
];

/** A folder's tests: always as whoever we are, and where namespaces are made as the ordinary user too. */
function tests(folder, { users, minutes }) {
  if (!filesBelow(`test/${folder}`).some((file) => file.endsWith('.test.ts'))) return [];
  const check = { name: folder, argv: mocha(`test/${folder}/**/*.test.ts`), minutes, counts: true };
  if (!users || !asRoot) return [check];
  return [
    { ...check, name: `${folder}, as an ordinary user`, argv: ['scripts/as-test-user', ...check.argv] },
    { ...check, name: `${folder}, as root` },
  ];
}

const C_OPTIONS = [
  ...['-std=c17', '-O2', '-fsyntax-only', '-fanalyzer'],
  ...['-Wall', '-Wextra', '-Wpedantic', '-Wconversion', '-Werror'],
];

const checks = [
  { name: 'types', argv: ['node_modules/.bin/tsc', '--noEmit'], minutes: 5 },
  { name: 'lint', argv: ['node_modules/.bin/biome', 'check', '.'], minutes: 5 },
  {
    name: 'compiler',
    argv: [
      'gcc',
      ...C_OPTIONS,
      ...[...filesBelow('src'), ...filesBelow('helper')].filter((file) => file.endsWith('.c')),
    ],
    minutes: 5,
  },
  { name: 'shellcheck', argv: ['shellcheck', '--shell=dash', '-x', ...shellScripts()], minutes: 5 },
  ...tests('unit', { users: false, minutes: 5 }),
  ...tests('real', { users: true, minutes: 15 }),
  ...tests('fault', { users: true, minutes: 15 }),
  ...tests('race', { users: true, minutes: 15 }),
  ...tests('driver', { users: true, minutes: 20 }),
  ...tests('examples', { users: true, minutes: 10 }),
];

/** Runs one check to its end, output straight through. Gives its exit status, or null when it was ended for its time. */
function run({ argv, minutes }, countsFile) {
  const [file, ...args] = argv;
  const child = spawn(file, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, VIRT_TS_UNSHARE_TEST_COUNTS: countsFile },
    // A group of its own, so that a check that hangs can be ended with all it started.
    detached: true,
  });
  let late = false;
  const end = (signal) => {
    try {
      process.kill(-child.pid, signal);
    } catch {
      // It has just ended by itself.
    }
  };
  const timer = setTimeout(() => {
    late = true;
    end('SIGTERM');
    setTimeout(() => end('SIGKILL'), 10_000).unref();
  }, minutes * MINUTE);
  const stop = () => {
    end('SIGTERM');
    process.exitCode = 130;
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  return new Promise((resolve) => {
    const done = (status) => {
      clearTimeout(timer);
      process.off('SIGINT', stop).off('SIGTERM', stop);
      resolve(late ? null : status);
    };
    child.once('error', () => done(127));
    child.once('exit', (code, signal) => done(code ?? signal));
  });
}

function counted(check, status, countsFile) {
  if (!check.counts) return { passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1, skipped: 0 };
  const text = readFileSync(countsFile, 'utf8');
  if (text === '') return { passed: 0, failed: 1, skipped: 0 };
  const counts = JSON.parse(text);
  // Mocha exits with the number of failures; anything else it did not count is a failure of its own.
  return status !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

const names = process.argv.slice(2);
const chosen = checks.filter(({ name }) => names.length === 0 || names.some((word) => name.startsWith(word)));
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
  const result = counted(check, status, countsFile);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const how = status === null ? `, ended after ${check.minutes} minutes` : '';
  console.log(
    `-- ${check.name}: ${result.passed} ok, ${result.failed} not ok, ${result.skipped} skipped, ${seconds} s${how}`,
  );
  for (const key of Object.keys(total)) total[key] += result[key];
  if (process.exitCode === 130) break;
}
rmSync(work, { recursive: true, force: true });
if (total.skipped > 0) console.log(`\n${total.skipped} skipped, for the reasons told above`);
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode ||= total.failed === 0 && total.passed > 0 ? 0 : 1;
