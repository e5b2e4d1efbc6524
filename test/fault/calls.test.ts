/**
 * A system call fails in the middle of a session, in the server, in the helper, or in a program that they start: each mount, fork and
 * descriptor in turn, and each write to a disk from some moment on. The session works or ends with one sentence that has a remedy; nothing
 * is left. FAULT_ROUNDS: with 100 or more, so many calls of each kind and way; else one of each kind. FAULT_SEED: see fault.test.ts.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { within } from '../../src/wait.ts';
import { makeRoots } from '../race/beds.ts';
import { mountsThere } from '../support/left.ts';
import { patience } from '../support/patience.ts';
import { virt } from '../support/program.ts';
import { randomFrom } from '../support/random.ts';
import { projectDir } from '../support/rootfs.ts';
import { Server } from '../support/server.ts';
import { skip } from '../support/skip.ts';

const ROUNDS = Number(process.env.FAULT_ROUNDS ?? 26);
const THOROUGH = ROUNDS >= 100;
/** The short form has the same calls each time. */
const SEED = Number(process.env.FAULT_SEED ?? (THOROUGH ? Date.now() % 1_000_000 : 449906));

const { errno } = constants;
/** `usual`: so many calls has a session at least. */
const KINDS = {
  mounts: { errors: [errno.EPERM, errno.ENOMEM, errno.EINVAL, errno.ENOSPC], sticky: false, usual: 80 },
  unmounts: { errors: [errno.EPERM, errno.ENOMEM], sticky: false, usual: 8 },
  namespaces: { errors: [errno.ENOSPC, errno.EPERM], sticky: false, usual: 27 },
  processes: { errors: [errno.EAGAIN, errno.ENOMEM], sticky: true, usual: 46 },
  descriptors: { errors: [errno.EMFILE, errno.ENFILE], sticky: true, usual: 1000 },
  disk: { errors: [errno.ENOSPC, errno.EDQUOT], sticky: true, usual: 150 },
} as const;
type Kind = keyof typeof KINDS;

const WAYS = [
  { name: 'in memory', options: [], isFirst: false },
  { name: 'on disk', options: ['--scratch', 'SCRATCH'], isFirst: true },
  { name: 'as a copy, without a network', options: ['--mode=copy', '--network=none'], isFirst: false },
] as const;
type Way = (typeof WAYS)[number];

describe(`a system call that fails (seed ${SEED})`, function () {
  this.timeout(0);
  const random = randomFrom(SEED);
  const work = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-calls-'));
  const tree = join(work, 'tree');
  const program = join(work, 'fail-calls');
  const warm = join(work, 'warm');
  let roots: ReturnType<typeof makeRoots> | undefined;
  let cases = 0;
  before(async function () {
    if (process.getuid?.() !== 0) skip(this, 'an ordinary user with a filter cannot use newuidmap');
    const source = `${projectDir}test/fault/fail-calls.c`;
    execFileSync('gcc', ['-std=c17', '-O2', '-o', program, source], { stdio: 'inherit' });
    roots = makeRoots(['busybox']);
    for (const folder of [tree, warm]) mkdirSync(folder);
    for (let i = 0; i < 3; i += 1) writeFileSync(join(tree, `${i}`), 'x'.repeat(100_000));
    const { stderr, status } = await virt(['--tarball', roots.tarball('busybox')], {
      env: { XDG_CACHE_HOME: warm },
      input: 'open\nquit\n',
    });
    assert.equal(status, 0, stderr);
  });
  after(async () => {
    if (roots !== undefined) {
      await virt(['rootfs', 'prune', '--all'], { env: { XDG_CACHE_HOME: warm } });
      rmSync(roots.folder, { recursive: true });
    }
    rmSync(work, { recursive: true });
    console.log(`        ${cases} calls that failed, seed ${SEED}`);
  });

  interface Choice {
    readonly kind: Kind;
    readonly way: Way;
    /** 0: none fails, and what the session makes is counted. */
    readonly number: number;
    readonly error: number;
    readonly sticky: boolean;
  }

  /** A session; gives how many calls of the kind it made. */
  async function session({ kind, way, number, error, sticky }: Choice): Promise<number> {
    const folder = mkdtempSync(join(work, 'case-'));
    const [tmp, scratch, out] = ['tmp', 'scratch', 'out'].map((name) => join(folder, name));
    assert.ok(tmp !== undefined && scratch !== undefined && out !== undefined);
    for (const each of [tmp, scratch, out]) mkdirSync(each);
    const cache = way.isFirst ? join(folder, 'cache') : warm;
    const [armed, report] = [join(folder, 'armed'), join(folder, 'report')];
    const env = { XDG_CACHE_HOME: cache, TMPDIR: tmp };
    const mounts = mountsThere();
    const suffix = kind === 'mounts' ? '*' : sticky ? '+' : '';
    const server = Server.start({
      argv: [
        ...['--tarball', roots?.tarball('busybox') ?? ''],
        ...way.options.map((word) => (word === 'SCRATCH' ? scratch : word)),
      ],
      env,
      by: [program, kind, `${error}`, `${number}${suffix}`, armed, report],
    });
    const replies = [await server.reply()];
    writeFileSync(armed, '');
    let request = '';
    let hasFailed = false;
    for (request of [
      'open',
      'command sh,-c,seq%201000%20%7C%20tee%20/tmp/log%20%3E/dev/null%3B%20exit%203',
      `copydown ${tree}/ /tmp/tree/`,
      `copyup /tmp/tree/ ${out}/tree/`,
      `copyup /tmp/log ${out}/log`,
      'snapshot',
      'revert',
      'close',
      'quit',
    ]) {
      server.send(request);
      let reply: string | undefined;
      const answered = server.reply().then((line) => {
        reply = line;
      });
      if (!(await within(Promise.race([answered, server.ended]), patience(30_000)))) reply = 'no reply';
      replies.push(reply);
      if (reply === undefined || reply === 'no reply') break;
      // No silent other path: where a mount fails, so does the request.
      if (kind === 'mounts' && number > 0 && request === 'open')
        hasFailed = existsSync(report) && !isHelpers();
    }
    server.endOfFile();
    /** The program that runs others, which needs a mount only where root of a testbed could make the same one (helper/shield.c). */
    function isHelpers(): boolean {
      return / of helper/.test(readFileSync(report, 'utf8'));
    }
    function context(): string {
      const failed = existsSync(report) ? readFileSync(report, 'utf8').trim() : 'none';
      return `${kind} ${number}${suffix} ${way.name}: ${failed} failed with ${error}\nin ${request}: ${replies.join(', ')}\n${server.complaints}`;
    }
    const ended = await within(server.ended, patience(30_000));
    if (!ended) await server.kill('SIGTERM');
    if (!ended && !(await within(server.ended, patience(5000)))) await server.kill('SIGKILL');
    assert.ok(ended, `no end: ${context()}`);
    assert.ok(!hasFailed, `it was opened in spite of that: ${context()}`);
    const status = await server.ended;
    assert.deepEqual(await server.leftAfter(patience(5000)), [], context());
    const words = server.complaints;
    // 255: nothing was served yet.
    assert.ok([0, 12, 255].includes(status), `status ${status}: ${context()}`);
    for (const reply of replies)
      assert.ok(reply === undefined || /^(ok\b|copy-failed$|timeout$)/.test(reply), context());
    assert.doesNotMatch(words, /internal|\n {4}at |undefined|: ;/, context());
    if (status !== 0) assert.match(words, /^virt-ts-unshare: [^\n]+; [^\n]+\n/m, context());
    assert.deepEqual(readdirSync(tmp), [], context());
    assert.deepEqual(mountsThere(), mounts, context());
    if (number === 0) assert.equal(status, 0, context());
    else if (existsSync(report)) cases += 1;
    // What a session cannot remove, the next one does.
    const next = await virt(['--tarball', roots?.tarball('busybox') ?? '', '--scratch', scratch], {
      env,
      input: 'open\nquit\n',
    });
    assert.equal(next.status, 0, `${context()}then: ${next.stderr}`);
    // A lock that could not be taken leaves its file: another process may have it open.
    await virt(['rootfs', 'prune'], { env });
    assert.deepEqual(readdirSync(scratch), [], context());
    assert.deepEqual(leftIn(join(cache, 'virt-ts-unshare')), [], context());
    if (way.isFirst) await virt(['rootfs', 'prune', '--all'], { env });
    const count = Number(/(\d+)\n$/.exec(existsSync(report) ? readFileSync(report, 'utf8') : '')?.[1]);
    rmSync(folder, { recursive: true });
    return count;
  }

  for (const kind of Object.keys(KINDS) as Kind[]) {
    const { errors, sticky, usual } = KINDS[kind];
    const ways = THOROUGH ? WAYS : WAYS.slice(Math.floor(random() * WAYS.length)).slice(0, 1);
    for (const way of ways) {
      it(`of ${kind}, ${way.name}`, async () => {
        const make = (number: number) => ({
          ...{ kind, way, number, error: errors[Math.floor(random() * errors.length)] ?? 0 },
          sticky: sticky && random() < 0.5,
        });
        const count = THOROUGH ? await session(make(0)) : usual;
        assert.ok(count > 0, 'none was counted');
        const wrong: string[] = [];
        const tries = THOROUGH ? Math.min(count, ROUNDS) : 1;
        const chosen = Array.from(
          { length: tries },
          (_, index) => 1 + Math.floor(((index + random()) * count) / tries),
        );
        for (const number of chosen) {
          await session(make(number)).catch((found: unknown) => {
            wrong.push(String(found));
            console.log(`        ${found}`);
          });
        }
        assert.equal(wrong.length, 0, wrong[0]);
        console.log(`        ${count} calls in a session, ${chosen.length} tried`);
      });
    }
  }
});

/** Half a base, marks of use, locks. */
function leftIn(cache: string): string[] {
  const bases = readdirSync(join(cache, 'bases'));
  return [
    ...bases.filter((name) => name.startsWith('.')),
    ...bases.flatMap((name) => readdirSync(join(cache, 'bases', name, 'users'))),
    ...readdirSync(join(cache, 'locks')),
  ];
}
