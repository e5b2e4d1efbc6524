/** Reports for a terminal. Pure; names of tests and their results are printable. */

import type { PackageChanges } from '../events/packages.ts';
import { printable } from '../log.ts';
import type { Comparison } from './compare.ts';
import type { Session } from './model.ts';
import type { Run } from './run.ts';
import { explained, isShown, TIME_KINDS, type TimeKind, timesOf } from './times.ts';

export const KIND_NAMES: Readonly<Record<TimeKind, string>> = {
  testbed: 'open, revert, close',
  packages: 'apt and dpkg',
  build: 'build',
  test: 'tests',
  command: 'other commands',
  copy: 'copies',
  driver: 'the driver itself',
  unknown: 'without an event',
};

export function seconds(milliseconds: number): string {
  const digits = milliseconds < 9_995 ? 2 : 1;
  return `${(milliseconds / 1000).toFixed(digits)} s`;
}

export function percent(part: number): string {
  return `${(part * 100).toFixed(1)} %`;
}

/** Rows with their first cell left and the others right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
}

export function runText(run: Run): string {
  const parts = [
    run.tests.length === 0 ? [] : ['Tests:', ...indented(table(testRows(run)))],
    ...run.sessions.map((session) => sessionText(session)),
    run.strange === 0 ? [] : [`${run.strange} lines are no events of this version.`],
  ];
  return `${parts
    .filter((part) => part.length > 0)
    .map((part) => part.join('\n'))
    .join('\n\n')}\n`;
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}

function testRows({ tests }: Run): string[][] {
  const rows = tests.map(({ name, result, run }) => [
    printable(name),
    run === undefined ? '' : seconds(run.duration),
    run === undefined ? '' : seconds(run.packagesTime),
    run === undefined ? '' : String(run.leaks.length),
    printable(result),
  ]);
  return [['test', 'time', 'apt before it', 'leaks', 'result'], ...rows];
}

function sessionText(session: Session): string[] {
  const times = timesOf(session);
  const { wall, of } = times;
  const rows = TIME_KINDS.filter((kind) => isShown(kind, times)).map((kind) => [
    KIND_NAMES[kind],
    seconds(of[kind]),
    percent(wall === 0 ? 0 : of[kind] / wall),
  ]);
  const { callerCpu } = session;
  const processor =
    callerCpu === undefined || of.driver === 0
      ? []
      : [`of the driver itself ${seconds(callerCpu)} is processor time`];
  return [
    `${printable(`${session.program} ${session.id}`)}: ${seconds(wall)}, of which events explain ${percent(explained(times))}`,
    ...indented([...table(rows), ...processor]),
  ];
}

export function comparisonText({ tests, times, equal }: Comparison): string {
  const lines = tests.flatMap(({ name, result, duration, packages }) => [
    ...(result === undefined ? [] : [`${printable(name)}: ${word(result.a)} → ${word(result.b)}`]),
    ...(duration === undefined
      ? []
      : [`${printable(name)}: took ${seconds(duration.a)} → ${seconds(duration.b)}`]),
    ...(packages === undefined ? [] : packageLines(packages).map((line) => `${printable(name)}: ${line}`)),
  ]);
  const ofTimes = times.map(
    ({ kind, a, b }) => `time for ${KIND_NAMES[kind]}: ${seconds(a)} → ${seconds(b)}`,
  );
  const last = equal ? ['Results and packages are equal.'] : [];
  return `${[...lines, ...ofTimes, ...last].join('\n')}\n`;
}

function word(result: string | undefined): string {
  return result === undefined ? 'not run' : printable(result);
}

function packageLines({ installed, removed, changed }: PackageChanges): string[] {
  return [
    ...Object.entries(changed).map(([name, { from, to }]) => `package ${name}: ${from} → ${to}`),
    ...Object.entries(installed).map(([name, version]) => `package ${name}: none → ${version}`),
    ...Object.entries(removed).map(([name, version]) => `package ${name}: ${version} → none`),
  ].map(printable);
}
