/**
 * The places that a session needs: a cache that may only be read, is full, or lies on another file system than the scratch; and a
 * clock that jumps. It works, or ends with one sentence that has a remedy; nothing is left.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeRoots } from '../race/beds.ts';
import { call, type Ended, PROGRAM, virt } from '../support/program.ts';
import { skip } from '../support/skip.ts';

const THOROUGH = Number(process.env.FAULT_ROUNDS ?? 26) >= 100;

describe('a session', function () {
  this.timeout('10m');
  let work: string;
  let roots: ReturnType<typeof makeRoots>;
  before(() => {
    roots = makeRoots(['busybox']);
  });
  after(() => rmSync(roots.folder, { recursive: true }));
  beforeEach(() => {
    work = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-places-'));
    for (const name of ['cache', 'scratch', 'tmp', 'tree']) mkdirSync(join(work, name));
    writeFileSync(join(work, 'tree/file'), 'x'.repeat(50_000));
  });
  afterEach(async () => {
    await virt(['rootfs', 'prune', '--all'], { env: env() });
    rmSync(work, { recursive: true });
  });

  const env = () => ({ XDG_CACHE_HOME: join(work, 'cache'), TMPDIR: join(work, 'tmp') });
  const requests = () =>
    [
      'open',
      'command sh,-c,echo%20x%20%3E/tmp/x',
      `copydown ${work}/tree/ /tmp/tree/`,
      'snapshot',
      'revert',
      'command cat,/tmp/tree/file stdout=/dev/null',
      'close',
      'quit',
    ].join('\n');
  const argv = (...more: readonly string[]) => ['--tarball', roots.tarball('busybox'), ...more];
  const serve = (...more: readonly string[]) => virt(argv(...more), { env: env(), input: `${requests()}\n` });

  /** In mounts of its own, which this shell script makes first; $1 is the directory of the test. */
  function serveBelow(script: string, ...more: readonly string[]): Promise<Ended> {
    const words = ['sh', '-c', `${script}\nshift\nexec "$@"`, 'sh', work, process.execPath, PROGRAM];
    return call(['unshare', '--mount', ...words, ...argv(...more)], {
      env: env(),
      input: `${requests()}\n`,
    });
  }

  function mustWork({ status, stdout, stderr }: Ended): void {
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /^ok\nok \S+\nok 0\nok\nok \S+\nok \S+\nok 0\nok\nok\n$/);
  }

  function mustBeSentence({ status, stderr }: Ended, words: RegExp): void {
    assert.ok([2, 12, 255].includes(status), `status ${status}: ${stderr}`);
    assert.match(stderr, words);
    assert.match(stderr, /^virt-ts-unshare: [^\n]+; [^\n]+\n/);
    assert.doesNotMatch(stderr, /internal|\n {4}at /);
    assert.deepEqual(readdirSync(join(work, 'tmp')), []);
    assert.deepEqual(readdirSync(join(work, 'scratch')), []);
  }

  it('works where the cache and the scratch are on different file systems', async function () {
    if (process.getuid?.() !== 0) skip(this, 'only root may mount');
    const tmpfs = 'mount -t tmpfs -o size=100m tmpfs "$1/cache"';
    mustWork(await serveBelow(tmpfs, '--scratch', join(work, 'scratch')));
    if (THOROUGH) mustWork(await serveBelow(tmpfs, '--scratch', join(work, 'scratch'), '--mode=copy'));
    assert.deepEqual(readdirSync(join(work, 'scratch')), []);
  });

  it('ends with a sentence where the size of files is limited', async () => {
    const script = 'ulimit -f 0; exec "$@"';
    const limited = () =>
      call(['sh', '-c', script, 'sh', process.execPath, PROGRAM, ...argv()], {
        env: env(),
        input: `${requests()}\n`,
      });
    // Else its cache could not be made.
    mustWork(await serve());
    mustBeSentence(await limited(), /File too large.*ulimit -f/);
  });

  it('ends with a sentence where the cache may only be read', async function () {
    if (process.getuid?.() !== 0) skip(this, 'only root may mount');
    mustWork(await serve());
    const readOnly = 'mount --bind "$1/cache" "$1/cache" && mount -o remount,bind,ro "$1/cache"';
    mustBeSentence(await serveBelow(readOnly), /Read-only|read-only|EROFS/);
    mustWork(await serve());
  });

  for (const limit of ['size', 'nr_inodes'] as const) {
    it(`ends with a sentence where the cache has no more room (${limit})`, async function () {
      if (process.getuid?.() !== 0) skip(this, 'only root may mount');
      // From too small for anything to almost enough.
      const all = limit === 'size' ? ['8k', '64k', '200k', '1m', '1500k'] : ['4', '8', '14', '18', '24'];
      for (const value of THOROUGH ? all : all.slice(2, 3)) {
        const small = `mount -t tmpfs -o ${limit}=${value} tmpfs "$1/cache"`;
        mustBeSentence(await serveBelow(small), /No space left|ENOSPC/);
      }
    });
  }

  it('keeps its promises while the time of day jumps', async () => {
    const jump = join(work, 'jump.cjs');
    // Years to and fro, at each look.
    writeFileSync(
      jump,
      `const real = Date.now; let n = 0; const year = 31536e6;
      const jumped = () => real() + [0, 9, -9, 30, -30][n++ % 5] * year;
      Date.now = jumped;
      const Real = Date; globalThis.Date = class extends Real { constructor(...all) { super(...(all.length ? all : [jumped()])); } };`,
    );
    for (let round = 0; round < (THOROUGH ? 20 : 2); round += 1) {
      const { status, stdout, stderr } = await virt(argv(), {
        env: { ...env(), NODE_OPTIONS: `--require=${jump}` },
        input: `${requests().replace('snapshot', 'command sleep,0.2 timeout=30\ncommand sleep,60 timeout=0.2')}\n`,
      });
      assert.equal(status, 0, stdout + stderr);
      assert.match(stdout, /\nok 0\ntimeout\n/);
    }
    const bases = join(work, 'cache/virt-ts-unshare/bases');
    const [base = '', ...others] = readdirSync(bases);
    assert.deepEqual(others, [], 'the base was unpacked again, or something is left');
    assert.deepEqual(readdirSync(join(bases, base)).sort(), ['base.json', 'tree', 'users']);
    assert.deepEqual(readdirSync(join(bases, base, 'users')), []);
  });

  it('goes on where its server was stopped for a while', async () => {
    const script = `exec 3>&1; { printf 'open\\n'; sleep 1; printf 'command true\\nquit\\n'; } | "$@" & sleep 0.5
      kill -STOP $!; sleep ${THOROUGH ? 60 : 1}; kill -CONT $!; wait $!`;
    const { status, stdout, stderr } = await call(
      ['sh', '-c', script, 'sh', process.execPath, PROGRAM, ...argv()],
      {
        env: env(),
      },
    );
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /^ok\nok \S+\nok 0\nok\n$/);
  });
});
