/** Reads what a run has left: a file of events, or the output directory of a driver. Its files are of tests, so hostile. */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { reasonOf, UsageError } from '../errors.ts';
import type { PackageList } from '../events/packages.ts';
import type { TestbedEvent } from '../events/types.ts';
import { unlessAborted } from '../wait.ts';
import { parseEventLines } from './guard.ts';

export interface TestResult {
  readonly name: string;
  /** `PASS`, or `FAIL`, `SKIP` or `FLAKY` with the reason. */
  readonly result: string;
}

export interface Input {
  readonly name: string;
  readonly events: readonly TestbedEvent[];
  /** Lines of its files of events that are none. */
  readonly strange: number;
  /** Of the summary, in its order. */
  readonly results: readonly TestResult[];
  /** Installed before each test, by its name, where the driver recorded that. */
  readonly packages: ReadonlyMap<string, PackageList>;
  /** The last part of what a test printed. */
  output(test: string): readonly TestOutput[];
}

export interface TestOutput {
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
  /** Bytes before the text. */
  readonly left: number;
}

/** Bytes. A string of Node has less than 512 MiB. */
const LARGEST = { events: 500 * 1024 ** 2, list: 16 * 1024 ** 2, output: 32 * 1024 } as const;
const IS_EVENTS = /^(?:events|.*[.-]events)(?:\.jsonl?)?$|\.jsonl$/;

/**
 * What a pipe gives, such as one of `<(zcat FILE)`; undefined when it is none, or cannot be read. Its writer may be slow, or never come.
 * @throws the reason of an abort
 */
export async function readPipe(path: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    if (!statSync(path).isFIFO()) return undefined;
    return await unlessAborted(readFile(path, 'utf8'), signal);
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

/**
 * @param piped what `readPipe` gave
 * @throws UsageError
 */
export function readInput(path: string, piped?: string): Input {
  const isFolder = reading(path, () => statSync(path)).isDirectory();
  const folder = isFolder ? path : dirname(path);
  const hasDriver = isFolder || lstatSync(join(folder, 'summary'), { throwIfNoEntry: false }) !== undefined;
  // What the user names may be a link or a pipe.
  const texts = isFolder
    ? reading(path, () => eventFilesIn(folder)).map((file) => textOf(file, LARGEST.events))
    : [piped ?? reading(path, () => readFileSync(path, 'utf8'))];
  const parsed = texts.map(parseEventLines);
  const events = parsed.flatMap((each) => each.events);
  const strange = parsed.reduce((sum, each) => sum + each.strange, 0);
  const results = hasDriver ? resultsOf(textOf(join(folder, 'summary'))) : [];
  if (events.length === 0 && results.length === 0) {
    throw new UsageError(`${path} has neither events nor the summary of a driver`, {
      code: 'NO_EVENTS',
      remedy: 'name a file that --events wrote, or the output directory of a driver',
    });
  }
  return {
    ...{ name: basename(path) === '.' ? path : path.replace(/\/+$/, ''), events, strange, results },
    packages: hasDriver ? packagesIn(folder, results) : new Map(),
    output: (test) => (hasDriver && isName(test) ? outputsOf(folder, test) : []),
  };
}

function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new UsageError(`cannot read ${path}: ${reasonOf(cause)}`, {
      code: 'CANNOT_READ',
      remedy: 'name a file of events or the output directory of a driver',
      cause,
    });
  }
}

function eventFilesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && IS_EVENTS.test(entry.name))
    .map(({ name }) => join(folder, name))
    .sort();
}

/** Lines `NAME  RESULT`, as autopkgtest(1) has them; a name is without blanks. */
function resultsOf(text: string): TestResult[] {
  return text.split('\n').flatMap((line) => {
    const [, name, result] = /^(\S+)\s+((?:PASS|FAIL|SKIP|FLAKY)\b.*)$/.exec(line) ?? [];
    return name === undefined || result === undefined ? [] : [{ name, result: result.trimEnd() }];
  });
}

function packagesIn(folder: string, results: readonly TestResult[]): Map<string, PackageList> {
  const pristine = tableOf(textOf(join(folder, 'testbed-packages')));
  const lists = new Map<string, PackageList>();
  for (const { name } of results) {
    if (!isName(name)) continue;
    const more = readPart(join(folder, `${name}-packages`), LARGEST.list, 'start');
    if (more !== undefined) lists.set(name, new Map([...pristine, ...tableOf(more.text)]));
  }
  return lists;
}

/** Lines `NAME TAB VERSION` of dpkg-query. */
function tableOf(text: string): [string, string][] {
  return text.split('\n').flatMap((line) => {
    const [name = '', version, ...more] = line.split('\t');
    return version === undefined || more.length > 0 ? [] : [[name, version] as [string, string]];
  });
}

function outputsOf(folder: string, test: string): TestOutput[] {
  return (['stdout', 'stderr'] as const).flatMap((stream) => {
    const part = readPart(join(folder, `${test}-${stream}`), LARGEST.output, 'end');
    return part === undefined || part.text === '' ? [] : [{ stream, ...part }];
  });
}

function isName(test: string): boolean {
  return !test.includes('/') && !test.startsWith('.');
}

function textOf(path: string, most: number = LARGEST.list): string {
  return readPart(path, most, 'start')?.text ?? '';
}

/** Undefined when there is no regular file. No link is followed: artifacts of a test are next to it. */
function readPart(
  path: string,
  most: number,
  from: 'start' | 'end',
): { text: string; left: number } | undefined {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch {
    return undefined;
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) return undefined;
    const left = from === 'end' ? Math.max(0, stat.size - most) : 0;
    const bytes = Buffer.alloc(Math.min(stat.size, most));
    const length = readSync(file, bytes, 0, bytes.length, left);
    return { text: bytes.toString('utf8', 0, length), left };
  } finally {
    closeSync(file);
  }
}
