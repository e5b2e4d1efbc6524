/** `test`: runs the tests of a package by several drivers at once. */
import { closeSync, existsSync, openSync, readSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import type { Words } from '../command-line/given.ts';
import { parseWords } from '../command-line/parse.ts';
import { testbedFromWords } from '../command-line/testbed-options.ts';
import { wrongValue } from '../command-line/values.ts';
import { reasonOf, systemCodeOf, UsageError } from '../errors.ts';
import { createLog, type Log, printable } from '../log.ts';
import { checkOutside } from '../network/outside.ts';
import { checkOutputFile, preflight } from '../preflight.ts';
import { hasProgram } from '../processes/find.ts';
import { scarceRemedy } from '../scarce.ts';
import { writeToStderr } from '../stderr.ts';
import { type Folders, openFolders } from '../test-runner/folders.ts';
import {
  EXIT_OTHER,
  EXIT_TESTBED_FAILURE,
  formatSummary,
  resultText,
  type Summary,
} from '../test-runner/results.ts';
import { runTests } from '../test-runner/runner.ts';
import { openScreen } from '../test-runner/screen.ts';
import type { RunVerb } from './verb.ts';

/** Bytes of a failed test's output that are shown, and lines. */
const TAIL_BYTES = 8192;
const TAIL_LINES = 15;

export const test: RunVerb = async (words, signal) => {
  const given = parseServer(words.command ?? []);
  const options = testbedFromWords(given, process.env);
  const jobs = parseJobs(words.one('jobs'));
  const summaryFile = words.one('summary-file');
  if (summaryFile !== undefined) checkOutputFile('--summary-file:', resolve(summaryFile));
  for (const program of ['autopkgtest', 'setpriv'] as const) {
    if (hasProgram(program)) continue;
    throw new UsageError(`the program ${program} is missing`, {
      code: 'NO_PROGRAM',
      remedy: `install the package ${program === 'setpriv' ? 'util-linux' : program}`,
    });
  }
  await preflight(options, process.env);
  const log = createLog({ debug: words.has('debug') });
  checkFiles(words.operands);
  warnOfNames(words, log);
  const folders = openFolders(words.one('output-dir'));
  const server = withEvents(words, given, folders);
  const screen = openScreen(log, process.env);
  try {
    const privateNetworks = !server.has('network') && canBePrivate();
    const order = { words, server, packages: words.operands, jobs, folders, screen, log, signal };
    const { status, summary } = await runTests({ ...order, privateNetworks }).finally(() => screen.end());
    showFailures(summary, folders, signal.aborted ? 0 : status);
    const text = formatSummary(summary);
    process.stdout.write(printable(text));
    const isWritten = writeSummary(summaryFile, text, log);
    if (signal.aborted) return 130;
    return isWritten ? status : EXIT_OTHER;
  } catch (error) {
    if (signal.aborted) return 130;
    throw error;
  } finally {
    screen.end();
    folders.remove();
  }
};

/** False when it could not be written. */
function writeSummary(path: string | undefined, text: string, log: Log): boolean {
  if (path === undefined) return true;
  try {
    writeFileSync(path, text);
    return true;
  } catch (error) {
    const remedy = scarceRemedy(systemCodeOf(error)) ?? 'name another file with --summary-file';
    log.warn(`cannot write the summary ${path}: ${reasonOf(error)}; ${remedy}`);
    return false;
  }
}

/** With an output directory, what happens in the testbeds is kept there: see docs/evidence.md. */
function withEvents(words: Words, given: Words, { output }: Folders): Words {
  if (words.one('output-dir') === undefined || given.has('events')) return given;
  return parseWords('server', [...given.argvWithout([]), `--events=${join(output, 'events.jsonl')}`]);
}

/** The server's name may stand before its options, as for autopkgtest. */
function parseServer(given: readonly string[]): Words {
  const [first = '', ...rest] = given;
  return parseWords('server', /^(?:autopkgtest-virt-|virt-)?ts-unshare$/.test(first) ? rest : given);
}

function parseJobs(text: string | undefined): number {
  if (text === undefined) return availableParallelism();
  if (!/^[1-9]\d{0,3}$/.test(text)) {
    throw wrongValue(`--jobs is ${text}, which is not a number of drivers`, 'give a number from 1 on');
  }
  return Number(text);
}

function canBePrivate(): boolean {
  try {
    checkOutside({ publish: [] });
    return hasProgram('ip');
  } catch {
    return false;
  }
}

/** The driver takes a file that does not exist for the name of a package in the archive. @throws UsageError */
function checkFiles(packages: readonly string[]): void {
  for (const name of packages) {
    const isFile = (name.includes('/') && !name.includes('://')) || /\.(?:deb|dsc|changes)$/.test(name);
    if (!isFile || existsSync(name)) continue;
    throw new UsageError(`there is no file ${name}`, {
      code: 'CANNOT_REACH',
      remedy: 'give a .dsc, .changes or .deb file or a source tree that exists, or the name of a package',
    });
  }
}

/** What the driver takes for the name of a package in the archive, also where there is a directory of that name. */
const PACKAGE_NAME = /^[0-9a-z][0-9a-z.+-]+$/;

function warnOfNames(words: Words, log: Log): void {
  for (const name of words.operands) {
    if (!PACKAGE_NAME.test(name) || !existsSync(join(name, 'debian'))) continue;
    log.warn(`${name} is taken for the name of a package in the archive; for the directory write ./${name}`);
  }
}

function showFailures({ results, notes }: Summary, { output }: Folders, status: number): void {
  // A wrong call of the driver has no note.
  if (results.length === 0 && (notes.length > 0 || status >= EXIT_TESTBED_FAILURE)) {
    writeToStderr(printable(`\nThe end of the log:\n${tailOf(join(output, 'log'))}`));
  }
  for (const result of results) {
    if (result.outcome !== 'FAIL' && result.outcome !== 'FLAKY') continue;
    const shown = (['stdout', 'stderr'] as const).flatMap((stream) => {
      const text = tailOf(join(output, `${result.name}-${stream}`));
      return text === '' ? [] : [`  ${stream}:\n${text}`];
    });
    writeToStderr(printable(`\n${result.name}: ${resultText(result)}\n${shown.join('')}`));
  }
}

function tailOf(path: string): string {
  if (!existsSync(path)) return '';
  const { size } = statSync(path);
  const buffer = Buffer.alloc(Math.min(size, TAIL_BYTES));
  const descriptor = openSync(path, 'r');
  try {
    const count = readSync(descriptor, buffer, 0, buffer.length, size - buffer.length);
    const lines = buffer.toString('utf8', 0, count).replace(/\n$/, '').split('\n');
    return lines
      .slice(-TAIL_LINES)
      .map((line) => `  | ${line}\n`)
      .join('');
  } finally {
    closeSync(descriptor);
  }
}
