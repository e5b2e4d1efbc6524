/** Writes the output directory, as one driver would have written it. */
import {
  appendFileSync,
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { logOf, outputOf } from './image.ts';
import { mergeParts, type Part, readIfThere } from './merge.ts';
import { logOfDriver, summaryOfLog, testInfo } from './record.ts';
import { formatSummary, type Summary } from './results.ts';

export interface FinishedRun {
  /** Directories of all drivers in the order of their tests, the one that built the package first. */
  readonly folders: readonly string[];
  readonly parts: readonly Part[];
  readonly summary: Summary;
  /** The words of the server as the user gave them. */
  readonly server: string;
}

const FROM_BUILD = ['testbed-packages', 'testpkg-version', 'binaries'];

/** A larger log is not held in memory, so it keeps its debug messages. */
const LARGEST_LOG = 64 * 1024 ** 2;

export function writeOutput(output: string, { folders, parts, summary, server }: FinishedRun): void {
  const [first] = folders;
  if (first === undefined) return;
  for (const name of FROM_BUILD) {
    const path = join(outputOf(first), name);
    if (existsSync(path)) renameSync(path, join(output, name));
  }
  const infos = folders.map((folder) => readIfThere(join(outputOf(folder), 'testinfo.json')));
  writeFileSync(join(output, 'testinfo.json'), testInfo(infos, server));
  mergeParts(parts, output);
  writeFileSync(join(output, 'summary'), formatSummary(summary));
  const log = join(output, 'log');
  for (const folder of folders) {
    appendLog(logOf(folder), readIfThere(join(outputOf(folder), 'summary')), log);
  }
  appendFileSync(log, summaryOfLog(summary, new Date()));
}

function appendLog(path: string, summary: string, target: string): void {
  if (!existsSync(path)) return;
  if (statSync(path).size <= LARGEST_LOG) {
    // As bytes, because tests may print any.
    appendFileSync(
      target,
      logOfDriver(readFileSync(path, 'latin1'), Buffer.from(summary).toString('latin1')),
      'latin1',
    );
    return;
  }
  const source = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(1024 ** 2);
    for (let count = readSync(source, buffer); count > 0; count = readSync(source, buffer)) {
      appendFileSync(target, buffer.subarray(0, count));
    }
  } finally {
    closeSync(source);
  }
}
