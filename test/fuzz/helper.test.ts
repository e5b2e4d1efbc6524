/**
 * The helper with AddressSanitizer and UndefinedBehaviorSanitizer: in sessions of the server, and with random arguments and requests.
 * Sizes and seed: test/support/fuzz.ts.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { makeRoots } from '../race/beds.ts';
import { parameters, rounds, seed } from '../support/fuzz.ts';
import { call, ended } from '../support/program.ts';
import { SanitizedProgram } from '../support/sanitized.ts';
import { skip } from '../support/skip.ts';

const RUNS = rounds({ short: 20, long: 5000 });
/** 128 and the signals of a crash; also SIGKILL, after too long a time. */
const CRASHES = [132, 133, 134, 135, 136, 137, 139];

describe(`the helper with sanitizers (seed ${seed})`, function () {
  this.timeout(0);
  let sanitized: SanitizedProgram;
  let roots: ReturnType<typeof makeRoots>;
  before(() => {
    sanitized = new SanitizedProgram();
    roots = makeRoots(['busybox']);
  });
  after(() => {
    sanitized.remove();
    rmSync(roots.folder, { recursive: true });
  });
  afterEach(() => assert.deepEqual(sanitized.reports(), []));

  it('serves a session', async () => {
    const folder = join(sanitized.folder, 'tree');
    mkdirSync(folder);
    const requests = [
      'open',
      'command sh,-c,cd%20/tmp%3B%20mkfifo%20p%3B%20tee%20log%20%3Cp%20%26%20exec%20%3Ep%3B%20seq%202000%3B%20sleep%2060%20%26%20exit%203',
      'command true user=daemon cwd=/tmp env=A=b timeout=20',
      'command sleep,60 timeout=0.3',
      `copydown ${sanitized.program} /tmp/file`,
      `copyup /tmp/file ${folder}/file`,
      `copydown ${folder}/ /tmp/tree/`,
      `copyup /tmp/tree/ ${folder}/again/`,
      'snapshot',
      'revert',
      'revert',
      'reboot',
      'close',
      'quit',
    ];
    const words = ['--tarball', roots.tarball('busybox'), '--network=none', '--report-leaks'];
    const { status, stdout, stderr } = await call([process.execPath, sanitized.program, ...words], {
      input: requests.map((request) => `${request}\n`).join(''),
    });
    const replies = stdout.split('\n').map((reply) => reply.replace(/ \/.*/, ''));
    const expected = [
      'ok',
      'ok',
      'ok 3',
      'ok 0',
      'timeout',
      'ok',
      'ok',
      'ok',
      'ok',
      'ok',
      'ok',
      'ok',
      'ok',
      'ok',
      'ok',
      '',
    ];
    assert.deepEqual({ replies, status }, { replies: expected, status: 0 }, stderr);
  });

  /** None of them names a process or a file that could be harmed. */
  const word = (folder: string) =>
    fc.oneof(
      {
        weight: 4,
        arbitrary: fc.constantFrom(
          '-p',
          '-m',
          '-h',
          '-n',
          '-c',
          '-u',
          '-e',
          '-d',
          '-l',
          '-T',
          '-3',
          '-f',
          '-N',
          '--',
          '-s',
          '-k',
        ),
      },
      {
        weight: 4,
        arbitrary: fc.constantFrom(
          '999999999',
          '0',
          '-1',
          '99999999999999999999',
          '1e9',
          '',
          'x',
          'none',
          '0:0:1',
          '0 0 1',
          'A=b',
        ),
      },
      {
        weight: 2,
        arbitrary: fc.constantFrom(
          folder,
          `${folder}/none`,
          `ro:${folder}`,
          '/dev/null',
          '\x1b[2J',
          'x'.repeat(5000),
        ),
      },
      {
        weight: 1,
        arbitrary: fc
          .string({ unit: 'binary', maxLength: 20 })
          .map((text) => `,${text.replaceAll('\0', '')}`),
      },
    );
  const commands = [
    'abort-fuse',
    'connect',
    'copy',
    'enter',
    'exec',
    'freeze',
    'hold',
    'isolate',
    'look',
    'read',
    'unstage',
    'x',
  ];

  async function run(argv: readonly string[], input: Buffer): Promise<void> {
    const child = spawn(sanitized.helper, argv, { stdio: ['pipe', 'pipe', 'pipe', 'pipe', 'pipe'] });
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
    for (const stream of child.stdio.slice(3)) stream?.on('error', () => {}).destroy();
    const limit = setTimeout(() => child.kill('SIGKILL'), 60_000);
    const { status, stderr } = await ended(child);
    clearTimeout(limit);
    assert.doesNotMatch(stderr, /AddressSanitizer|runtime error/);
    assert.ok(![66, ...CRASHES].includes(status), `status ${status}: ${stderr}`);
    assert.deepEqual(sanitized.reports(), []);
  }

  it(`takes random arguments, ${RUNS} times`, async function () {
    if (process.getuid?.() === 0) skip(this, 'root could change the machine');
    const folder = join(sanitized.folder, 'tree');
    mkdirSync(folder, { recursive: true });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...commands),
        fc.array(word(folder), { maxLength: 8 }),
        (name, words) => run([name, ...words], Buffer.alloc(0)),
      ),
      parameters(RUNS),
    );
  });

  it(`takes random requests of the holder, ${RUNS} times`, async function () {
    if (process.getuid?.() === 0) skip(this, 'root could change the machine');
    const folder = join(sanitized.folder, 'tree');
    mkdirSync(folder, { recursive: true });
    const steps = [
      'root',
      'directory',
      'file',
      'link',
      'mount',
      'bind',
      'detach',
      'copy',
      'keyring',
      'hostname',
      'loopback',
      'accounts',
      'append',
      'home',
      'services',
      'utmp',
      'mask_idle',
      'place',
      'processes',
      'init',
    ];
    const field = fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom('run', 'end', 'go', 'drop', '1', '2', 'mpiu', 'm', 'U', '') },
      { weight: 3, arbitrary: fc.constantFrom(...steps) },
      { weight: 3, arbitrary: word('/mnt/layers/1') },
    );
    const request = fc
      .tuple(
        fc.constantFrom('run', 'run', 'end', 'go', 'drop'),
        fc.array(field, { maxLength: 14 }),
        fc.integer({ min: -1, max: 1 }),
      )
      .map(
        ([what, fields, lie]) =>
          `${[fields.length + 1 + (lie === 0 ? 0 : lie), what, ...fields].join('\0')}\0`,
      );
    const user = process.getuid?.() ?? 0;
    const group = process.getgid?.() ?? 0;
    await fc.assert(
      fc.asyncProperty(fc.array(request, { maxLength: 6 }), fc.nat({ max: 5000 }), (requests, end) => {
        const input = Buffer.from(requests.join(''), 'latin1').subarray(0, end);
        // In a user namespace with one id, where nothing of the host can be changed but the caller's own directory.
        return run(['hold', 'new', `0 ${user} 1`, `0 ${group} 1`, '0 0 1', '0 0 1', folder], input);
      }),
      parameters(RUNS),
    );
  });
});
