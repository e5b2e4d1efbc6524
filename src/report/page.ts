/** A run as a page of one file: no script, nothing from the network, all text escaped. */
import { basename } from 'node:path';
import { toHtml } from 'hast-util-to-html';
import type { PackageChanges } from '../events/packages.ts';
import type { Leak } from '../leaks/leak.ts';
import { describeLeak } from '../leaks/report.ts';
import { code, details, element, list, type Piece, section, shown, table, tag } from './elements.ts';
import type { Input } from './input.ts';
import type { Run, Test } from './run.ts';
import { STYLE } from './style.ts';
import { KIND_NAMES, percent, seconds } from './text.ts';
import { timeline } from './timeline.ts';
import { explained, isShown, noTime, TIME_KINDS, type TimeKind, timesOf } from './times.ts';

const POLICY = "default-src 'none'; style-src 'unsafe-inline'";

export function pageOf(run: Run, { output }: Pick<Input, 'output'>): string {
  const title = `Test report: ${shown(basename(run.name))}`;
  const body = tag(
    'body',
    {},
    element('h1', '', title),
    figures(run),
    ...failures(run, output),
    run.sessions.length === 0 ? null : section('timeline', 'What ran when', legend(run), timeline(run)),
    run.sessions.length === 0 ? null : section('time', 'Where the time went', times(run)),
    run.tests.length === 0 ? null : section('tests', 'Tests', tests(run)),
    ...leaks(run),
    ...packages(run),
    ...errors(run),
    run.sessions.length === 0 ? null : section('servers', 'Servers', servers(run)),
    element('footer', '', footer(run)),
  );
  const head = [
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<meta http-equiv="Content-Security-Policy" content="${POLICY}">`,
    toHtml(tag('title', {}, title)),
    `<style>${STYLE}</style>`,
  ].join('\n');
  return `<!DOCTYPE html>\n<html lang="en">\n<head>\n${head}\n</head>\n${toHtml(body)}\n</html>\n`;
}

function figure(name: string, value: Piece, classes = ''): Piece {
  return element('div', '', element('dt', '', name), element('dd', classes, value));
}

function figures({ tests, sessions, from, to }: Run): Piece {
  const failed = tests.filter(({ passed }) => !passed).length;
  const found = sessions.reduce((sum, session) => sum + session.leaks.length, 0);
  const inTests = tests.reduce((sum, { run }) => sum + (run?.duration ?? 0), 0);
  return element(
    'dl',
    'figures',
    figure('tests', String(tests.length)),
    figure('failed', String(failed), failed > 0 ? 'bad' : 'good'),
    sessions.length === 0 ? null : figure('from start to end', seconds(to - from)),
    sessions.length === 0 ? null : figure('time of all tests', seconds(inTests)),
    sessions.length === 0 ? null : figure('left behind', String(found), found > 0 ? 'warn' : 'good'),
  );
}

function failures({ tests }: Run, output: Input['output']): Piece[] {
  const failed = tests.filter(({ passed }) => !passed);
  if (failed.length === 0) return [];
  const blocks = failed.map(({ name, result }, index) => {
    const parts = output(name).flatMap(({ stream, text, left }) => [
      element('div', 'soft', left === 0 ? stream : `${stream}, without the first ${left} bytes`),
      element('pre', '', shown(text)),
    ]);
    const none = element('p', 'soft', 'The driver has kept no output of this test.');
    return details(
      [code(name), ' ', element('span', 'bad', shown(result))],
      index < 5,
      ...(parts.length === 0 ? [none] : parts),
    );
  });
  return [section('failed', 'Failed', blocks)];
}

function legend({ sessions }: Run): Piece {
  const used = new Set<TimeKind>([
    'driver',
    ...sessions.flatMap(({ spans }) => spans.map(({ kind }) => kind)),
  ]);
  return element(
    'ul',
    'legend',
    ...TIME_KINDS.filter((kind) => used.has(kind)).map((kind) =>
      element('li', '', element('i', `k-${kind}`), KIND_NAMES[kind]),
    ),
  );
}

function times({ sessions }: Run): Piece {
  const all = sessions.map(timesOf);
  const wall = all.reduce((sum, each) => sum + each.wall, 0);
  const of = noTime();
  for (const kind of TIME_KINDS) of[kind] = all.reduce((sum, each) => sum + each.of[kind], 0);
  const rows = TIME_KINDS.filter((kind) => isShown(kind, { wall, of })).map((kind) => [
    KIND_NAMES[kind],
    seconds(of[kind]),
    percent(wall === 0 ? 0 : of[kind] / wall),
    tag('i', { class: `k-${kind}`, style: `width:${Math.round((100 * of[kind]) / Math.max(1, wall))}%` }),
  ]);
  const processor = sessions.reduce((sum, { callerCpu = 0 }) => sum + callerCpu, 0);
  const sum = [
    `Sum of all servers, ${seconds(wall)}; events explain ${percent(explained({ wall, of }))} of it.`,
    processor === 0 ? '' : ` Of the drivers themselves ${seconds(processor)} is processor time.`,
  ].join('');
  return [
    table(
      [
        { name: '' },
        { name: 'time', classes: 'n' },
        { name: 'part', classes: 'n' },
        { name: '', classes: 'share' },
      ],
      rows,
    ),
    element('p', 'soft', sum),
  ];
}

function tests({ tests: all }: Run): Piece {
  const columns = [
    ...[
      { name: 'test' },
      { name: 'result' },
      { name: 'time', classes: 'n' },
      { name: 'processor', classes: 'n minor' },
    ],
    ...[
      { name: 'apt before it', classes: 'n minor' },
      { name: 'leaks', classes: 'n' },
    ],
    { name: 'it installed', classes: 'n minor' },
  ];
  return table(
    columns,
    all.map(({ name, result, passed, run, changes }) => [
      code(name),
      element('span', passed ? 'good' : 'bad', shown(result)),
      run === undefined ? '' : seconds(run.duration),
      run === undefined ? '' : seconds(run.cpu),
      run === undefined ? '' : seconds(run.packagesTime),
      run === undefined ? '' : String(run.leaks.length),
      changes === undefined ? '' : String(countOf(changes)),
    ]),
  );
}

function countOf({ installed, removed, changed }: PackageChanges): number {
  return [installed, removed, changed].reduce((sum, each) => sum + Object.keys(each).length, 0);
}

function leaks({ tests: all, sessions }: Run): Piece[] {
  const ofTests = all.filter(({ run }) => run !== undefined && run.leaks.length > 0);
  const attributed = new Set(ofTests.flatMap(({ run }) => run?.leaks ?? []));
  const others = sessions.flatMap((session) => session.leaks.filter((leak) => !attributed.has(leak)));
  const by: { readonly source: Piece; readonly left: readonly Leak[] }[] = ofTests.map(({ name, run }) => ({
    source: code(name),
    left: run?.leaks ?? [],
  }));
  if (others.length > 0) by.push({ source: 'Not by a test', left: others });
  const blocks = by.map(({ source, left }) =>
    details(
      [source, ` ${left.length}`],
      left.length <= 3,
      list(left.slice(0, 200).map((leak) => code(describeLeak(leak)))),
    ),
  );
  return blocks.length === 0 ? [] : [section('leaks', 'Left behind', blocks)];
}

/** Tests with the same packages are one entry. */
function packages({ tests: all }: Run): Piece[] {
  const groups = new Map<string, Test[]>();
  for (const test of all) {
    if (test.packages === undefined) continue;
    const key = JSON.stringify([...test.packages]);
    groups.set(key, [...(groups.get(key) ?? []), test]);
  }
  if (groups.size === 0) return [];
  const common = commonOf([...groups.values()]);
  const blocks = [...groups.values()].flatMap((group) => {
    const more = [...(group[0]?.packages ?? [])].filter(([name, version]) => common.get(name) !== version);
    if (more.length === 0) return [];
    const names = group.map(({ name }) => name).join(', ');
    return details(
      [`${more.length} more for `, code(names.length > 200 ? `${group.length} tests` : names)],
      more.length <= 20 && groups.size <= 10,
      list(more.map(([name, version]) => code(`${name} ${version}`))),
    );
  });
  const changes = all.flatMap(({ name, changes: own }) =>
    own === undefined || countOf(own) === 0
      ? []
      : [details([code(name), ' changed itself'], false, changeList(own))],
  );
  return [
    section(
      'packages',
      'Packages',
      element('p', '', `${common.size} are installed for all tests in the same version.`),
      blocks,
      changes,
    ),
  ];
}

function commonOf(groups: readonly (readonly Test[])[]): Map<string, string> {
  const lists = groups.flatMap(([first]) => first?.packages ?? []);
  const [first, ...others] = lists;
  return new Map(
    [...(first ?? [])].filter(([name, version]) => others.every((each) => each.get(name) === version)),
  );
}

function changeList({ installed, removed, changed }: PackageChanges): Piece {
  return list([
    ...Object.entries(installed).map(([name, version]) => code(`installed ${name} ${version}`)),
    ...Object.entries(removed).map(([name, version]) => code(`removed ${name} ${version}`)),
    ...Object.entries(changed).map(([name, { from, to }]) => code(`${name} ${from} → ${to}`)),
  ]);
}

function errors({ sessions }: Run): Piece[] {
  const all = sessions.flatMap((session) => [
    ...session.errors,
    ...session.spans.flatMap(({ error }) => (error === undefined ? [] : [error])),
  ]);
  return all.length === 0 ? [] : [section('errors', 'Errors', list(all.map(({ message }) => code(message))))];
}

function servers({ sessions, from }: Run): Piece {
  return table(
    [
      { name: 'server' },
      { name: 'from', classes: 'n' },
      { name: 'time', classes: 'n' },
      { name: 'started by' },
    ],
    sessions.map(({ program, id, from: begin, to, caller, ended }) => [
      [code(`${program} ${id}`), ended ? '' : element('span', 'warn', ' has no end')],
      seconds(begin - from),
      seconds(to - begin),
      code(caller.join(' ').slice(0, 1000)),
    ]),
  );
}

function footer({ from, strange }: Run): string {
  const when = from === 0 ? '' : `Begun ${new Date(from).toISOString().replace('T', ' ').slice(0, 19)} UTC. `;
  return `${when}${strange === 0 ? '' : `${strange} lines were no events of this version. `}Made by virt-ts-unshare.`;
}
