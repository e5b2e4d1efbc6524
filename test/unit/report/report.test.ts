import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Parser } from 'htmlparser2';
import { purposeOf, testOf } from '../../../src/report/classify.ts';
import { compareRuns } from '../../../src/report/compare.ts';
import { list } from '../../../src/report/elements.ts';
import { parseEventLines } from '../../../src/report/guard.ts';
import { readInput, readPipe } from '../../../src/report/input.ts';
import { sessionsOf } from '../../../src/report/model.ts';
import { pageOf } from '../../../src/report/page.ts';
import { type Run, runOf } from '../../../src/report/run.ts';
import { comparisonText, runText } from '../../../src/report/text.ts';
import { lanes } from '../../../src/report/timeline.ts';
import { explained, noTime, timesOf } from '../../../src/report/times.ts';
import { LISTS, linesOf, Story, wrapped } from '../../support/events-of-run.ts';

const INSTALL = ['/bin/sh', '-ec', ' apt-get install --assume-yes x 2>&1'];
const packages = { before: LISTS.base, after: LISTS.base };

describe('the purpose of a command', () => {
  it('is known from its words', () => {
    assert.equal(testOf({ argv: wrapped('smoke') }), 'smoke');
    assert.equal(testOf({ argv: ['cat', wrapped('smoke').at(-1) ?? ''] }), undefined);
    assert.equal(testOf({ argv: wrapped('prepared-0123456789abcdef') }), undefined);
    assert.equal(purposeOf({ argv: INSTALL }), 'packages');
    assert.equal(purposeOf({ argv: ['dpkg', '--purge', 'x'] }), 'packages');
    assert.equal(purposeOf({ argv: ['sh', '-ec', 'command -v dpkg-query'] }), 'command');
    assert.equal(purposeOf({ argv: ['sh', '-c', 'dpkg-buildpackage -us'] }), 'build');
    assert.equal(purposeOf({ argv: ['ls', '/var/lib/dpkg/status'] }), 'command');
  });
});

describe('a run by its events', () => {
  const story = () =>
    new Story()
      .open(20)
      .packages({ a: '1', b: '1' }, LISTS.base)
      .command(INSTALL, 300)
      .command(wrapped('one'), 100, { packages, cpu: 7 })
      .leak('/tmp/autopkgtest-reboot')
      .leak('/tmp/left')
      .revert(10)
      .pass(50)
      .packages({ c: '1' }, LISTS.more, LISTS.base)
      .command(wrapped('two'), 100, { packages: { before: LISTS.base, after: LISTS.more } })
      .reboot(10)
      .command(wrapped('two'), 100, { status: 1, packages: { before: LISTS.more, after: LISTS.more } });

  it('has its tests, with apt before them, leaks of their testbed, and reboots within', () => {
    const [session] = sessionsOf(story().end());
    assert.deepEqual(
      session?.tests.map(({ name, duration, status, packagesTime, leaks, before, after }) => ({
        ...{ name, duration, status, packagesTime, before, after, leaks: leaks.length },
      })),
      [
        {
          name: 'one',
          duration: 100,
          status: 0,
          packagesTime: 300,
          before: LISTS.base,
          after: LISTS.base,
          leaks: 1,
        },
        {
          name: 'two',
          duration: 200,
          status: 1,
          packagesTime: 0,
          before: LISTS.base,
          after: LISTS.more,
          leaks: 0,
        },
      ],
    );
  });

  it('has times whose sum is the wall time, also of what no event explains', () => {
    const [session] = sessionsOf(story().wait(30).end());
    assert.ok(session !== undefined);
    const times = timesOf(session);
    assert.deepEqual(times, {
      wall: 720,
      of: { ...noTime(), testbed: 40, packages: 300, test: 300, driver: 30, unknown: 50 },
    });
    assert.ok(Math.abs(explained(times) - 670 / 720) < 1e-9);
  });

  it('counts a moment of several testbeds once, and a wait only where nothing else is', () => {
    const span = { event: 'command', label: '' } as const;
    const spans = [
      { ...span, kind: 'packages', from: 0, to: 100 },
      { ...span, kind: 'test', from: 20, to: 50 },
      { ...span, kind: 'driver', from: 90, to: 110 },
    ] as const;
    const { of } = timesOf({ from: 0, to: 120, spans });
    assert.deepEqual([of.packages, of.test, of.driver, of.unknown], [70, 30, 10, 10]);
  });

  it('has a lane for each session at the same time', () => {
    const sessions = [0, 30, 2000].map((begin, index) =>
      new Story(`00000000000${index}`, begin).open(100).end(),
    );
    assert.deepEqual(
      lanes(sessionsOf(sessions.flat())).map((lane) => lane.map(({ from }) => from)),
      [[0, 2000], [30]],
    );
  });

  it('is read in spite of lines that are no events', () => {
    const good = linesOf(new Story().open().end());
    const bad = ['{', 'null', '[]', '{"v":1,"event":"__proto__","session":"x","time":1}', '{"v":2}'];
    const { events, strange } = parseEventLines(`${bad.join('\n')}\n${good}${'{"v":1,"sess'}`);
    assert.deepEqual([events.length, strange], [3, 6]);
  });

  it('is read without members that have another form, whatever they are', function () {
    this.timeout(120_000);
    const events = new Story()
      .open()
      .packages({ a: '1' }, LISTS.base)
      .command(wrapped('one'), 100, { packages, cpu: 7 })
      .leak('/tmp/left')
      .end();
    const failure = { ...events[0], event: 'error', code: 'X', message: 'y' };
    const failed = { ...events[1], error: { code: 'X', message: 'y' } };
    const changed = { a: { from: '1', to: '2' } };
    const list = { ...events[2], id: LISTS.more, base: LISTS.base, installed: {}, changed };
    for (const good of [...events, failure, failed, list]) {
      for (const bad of spoilt(good, [null, {}, 'x', 1e300, { a: null }, { kind: 'new' }])) {
        const { events: read, strange } = parseEventLines(
          [...events, bad].map((each) => JSON.stringify(each)).join('\n'),
        );
        const input = { name: 'x', events: read, strange, results: [], packages: new Map() };
        const run = runOf({ ...input, output: () => [] });
        assert.doesNotThrow(() => [runText(run), pageOf(run, { output: () => [] })], JSON.stringify(bad));
      }
    }
  });
});

/** The value with each of its parts, one at a time, replaced by each of the others. */
function spoilt(value: unknown, others: readonly unknown[]): unknown[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) =>
    [...others, ...spoilt(part, others)].map((other) =>
      Array.isArray(value)
        ? value.map((each, index) => (String(index) === key ? other : each))
        : { ...value, [key]: other },
    ),
  );
}

describe('a report', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-report-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const HOSTILE = '</pre><script>alert(1)</script><img src=x onerror=y>"\'&amp;\u001b[31m\u202e';

  function output(name: string, versionOfB: string, summary: string): string {
    const path = join(folder, name);
    mkdirSync(path);
    writeFileSync(join(path, 'summary'), summary);
    writeFileSync(join(path, 'bad-stdout'), HOSTILE);
    symlinkSync('/etc/passwd', join(path, 'bad-stderr'));
    const events = new Story()
      .open()
      .packages({ a: '1', b: versionOfB }, LISTS.base)
      .command(wrapped('good'), 100, { packages })
      .leak(`/tmp/${HOSTILE}`)
      .command([HOSTILE], 50)
      .command(wrapped('bad'), versionOfB === '1' ? 100 : 3000, { status: 1, packages })
      .end();
    writeFileSync(join(path, 'events.jsonl'), linesOf(events));
    return path;
  }

  /** Names of all elements, attributes and texts. */
  function elementsOf(page: string) {
    const names = new Set<string>();
    const attributes = new Set<string>();
    let text = '';
    const parser = new Parser({
      onopentag: (name, given) => {
        names.add(name);
        for (const attribute of Object.keys(given)) attributes.add(attribute);
      },
      ontext: (more) => {
        text += more;
      },
    });
    parser.end(page);
    return { names, attributes, text };
  }

  it('of hostile output has no element that is not its own, and needs nothing from elsewhere', () => {
    const input = readInput(output('a', '1', `good PASS\nbad FAIL ${HOSTILE}\n`));
    const { names, attributes, text } = elementsOf(pageOf(runOf(input), input));
    for (const name of ['script', 'img', 'link', 'iframe', 'object', 'base', 'form'])
      assert.ok(!names.has(name), name);
    assert.deepEqual(
      [...attributes].filter((name) => /^on|^src|href/.test(name)),
      [],
    );
    assert.ok(text.includes('</pre><script>alert(1)</script><img src=x onerror=y>"\'&amp;?[31m\ufffd'));
    assert.ok(!text.includes('root:x:0'), 'the link of the testbed was followed');
    assert.match(
      pageOf(runOf(input), input),
      /http-equiv="Content-Security-Policy" content="default-src 'none';/,
    );
  });

  it('as text has the tests and the times', () => {
    const text = runText(runOf(readInput(output('a', '1', 'good PASS\nbad FAIL non-zero\n'))));
    assert.match(text, /^ {2}bad {3}0\.10 s +0\.00 s +0 {2}FAIL non-zero$/m);
    assert.match(text, /^server 0123456789ab: 0\.27 s, of which events explain 100\.0 %$/m);
    const events = new Story('\u001b[31mred').open().end();
    const input = { name: 'x', events, strange: 0, results: [], packages: new Map() };
    assert.match(runText(runOf({ ...input, output: () => [] })), /^server \?\[31mred: /);
  });

  it('names what differs between two runs: results, packages and durations', () => {
    const run = (name: string, version: string, summary: string): Run =>
      runOf(readInput(output(name, version, summary)));
    const a = run('a', '1', 'good PASS\nbad FAIL non-zero\n');
    const b = run('b', '2', 'good PASS\nbad PASS\nnew PASS\n');
    assert.equal(
      comparisonText(compareRuns(a, b)),
      [
        'good: package b: 1 → 2',
        'bad: FAIL non-zero → PASS',
        'bad: took 0.10 s → 3.00 s',
        'bad: package b: 1 → 2',
        'new: not run → PASS',
        'time for tests: 0.20 s → 3.10 s\n',
      ].join('\n'),
    );
    assert.equal(compareRuns(a, b).equal, false);
    assert.equal(comparisonText(compareRuns(a, a)), 'Results and packages are equal.\n');
  });

  it('without events has the packages that the driver has recorded', () => {
    const make = (name: string, version: string) => {
      const path = join(folder, name);
      mkdirSync(path);
      writeFileSync(join(path, 'summary'), 'one PASS\n');
      writeFileSync(join(path, 'testbed-packages'), 'base\t1\n');
      writeFileSync(join(path, 'one-packages'), `more\t${version}\n`);
      return runOf(readInput(path));
    };
    assert.equal(comparisonText(compareRuns(make('a', '1'), make('b', '2'))), 'one: package more: 1 → 2\n');
  });

  it('has room for a list of any length', function () {
    this.timeout(120_000);
    const items = Array.from({ length: 150_000 }, () => '');
    assert.equal(list(items).children.length, items.length);
  });

  it('is made of a link to a file, and of a pipe, for which an abort ends the wait', async () => {
    const link = join(folder, 'latest');
    symlinkSync('out/events.jsonl', link);
    output('out', '1', '');
    assert.equal(runOf(readInput(link)).tests.length, 2);
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    spawn('cp', [link, pipe]);
    const never = new AbortController().signal;
    assert.equal(runOf(readInput(pipe, await readPipe(pipe, never))).tests.length, 2);
    assert.equal(await readPipe(link, never), undefined);
    const ending = new AbortController();
    const waiting = readPipe(pipe, ending.signal);
    ending.abort();
    await assert.rejects(waiting, { name: 'AbortError' });
    // The thread that opens it must not keep this process.
    writeFileSync(pipe, '');
  });

  it('of what has neither events nor a summary is a wrong call', () => {
    assert.throws(() => readInput(folder), { code: 'NO_EVENTS' });
    assert.throws(() => readInput(join(folder, 'missing')), { code: 'CANNOT_READ' });
    execFileSync('mkfifo', [join(folder, 'events.jsonl')]);
    assert.throws(() => readInput(folder), { code: 'NO_EVENTS' });
  });
});
