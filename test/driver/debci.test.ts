/**
 * The backend of debci with the scripts of Debian's own debci, without a broker: its worker serves a request once, and a killed
 * worker leaves nothing. `npm run farm` does it with RabbitMQ.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { removeScratch, scratchDir } from '../support/autopkgtest.ts';
import { type Debci, makeDebci } from '../support/debci.ts';
import { mockPackagesDir } from '../support/mock-packages.ts';
import { patience } from '../support/patience.ts';
import { type Process, stillThere, untilGone, untilRuns } from '../support/processes.ts';
import { call, virt } from '../support/program.ts';
import { describeWithUsers, lack } from '../support/skip.ts';

const SLEEP = 'sleep 1234.5';

describeWithUsers('the backend of debci', function () {
  this.timeout('5m');
  let debci: Debci;
  let run: (...words: string[]) => ReturnType<typeof call>;

  before(async function () {
    const folder = scratchDir();
    chmodSync(folder, 0o755);
    try {
      debci = makeDebci(folder, makeArchive());
    } catch (error) {
      lack(this, `debci cannot be downloaded (${String(error).split('\n')[0]})`);
    }
    run = (...words) => call([debci.program, ...words], { env: debci.env });
    const { status, stdout, stderr } = await virt(['debci', 'install', '--prefix', debci.base]);
    assert.deepEqual([status, stdout], [0, `${debci.base}/backends/ts_unshare\n`], stderr);
  });
  after(removeScratch);

  it('makes a root filesystem, and finds it', async () => {
    const image = join(debci.base, '../lib/ts_unshare/bookworm-amd64.tar.zst');
    const check = () =>
      call([join(debci.base, 'backends/ts_unshare/check-testbed')], {
        env: { ...debci.env, debci_suite: 'bookworm', debci_arch: 'amd64' },
      });
    assert.notEqual((await check()).status, 0);
    const { status, stdout, stderr } = await run('setup', '--quiet', '--arch', 'amd64');
    assert.equal(status, 0, stdout + stderr);
    const words = readFileSync(debci.bootstrap, 'utf8').split('\n');
    assert.ok(words.includes('--arch=amd64') && words.includes('bookworm'), words.join(' '));
    assert.ok(readFileSync(image).length > 1000);
    assert.equal((await check()).status, 0);
    assert.deepEqual(
      readdirSync(join(debci.base, '../lib/ts_unshare')).filter((name) => name.startsWith('.new')),
      [],
    );
  });

  it('serves a request of the worker, with one answer', async () => {
    const worker = serve('mock-allow-stderr', 7);
    const [status] = await once(worker, 'close');
    assert.equal(status, 0);
    const [answer, ...more] = debci.answers();
    assert.ok(answer !== undefined && more.length === 0);
    const member = (name: string) =>
      execFileSync('tar', [
        ...['--extract', '--to-stdout', '--file', answer],
        `autopkgtest-incoming/bookworm/amd64/m/mock-allow-stderr/7/${name}`,
      ]);
    assert.equal(member('exitcode').toString(), '0\n', gunzipSync(member('log.gz')).toString());
    assert.match(member('summary').toString(), /^talks +PASS/m);
    assert.deepEqual(readdirSync(debci.env.TMPDIR ?? ''), []);
  });

  it('ends the test, and gives no answer, when the worker is killed', async () => {
    const before = debci.answers();
    const worker = serve('mock-long', 8);
    assert.ok(worker.pid !== undefined);
    const all = await untilRuns(SLEEP, worker.pid);
    const inTestbed = (one: Process) => one.command === SLEEP;
    assert.ok(all.some(inTestbed));
    worker.kill('SIGKILL');
    const killed = performance.now();
    await untilGone(all.filter(inTestbed));
    const took = performance.now() - killed;
    assert.ok(took < patience(2000), `the testbed lasted ${took} ms`);
    await untilGone(all);
    assert.deepEqual(stillThere(all), []);
    assert.deepEqual(debci.answers(), before);
    assert.deepEqual(readdirSync(debci.env.TMPDIR ?? ''), []);
  });

  it('is removed', async () => {
    await virt(['debci', 'remove', '--prefix', debci.base]);
    assert.ok(!readdirSync(join(debci.base, 'backends')).includes('ts_unshare'));
  });

  /** What amqp-consume does with a request. */
  function serve(name: string, id: number) {
    const sources = ['deb', 'deb-src'].map((type) => {
      const line = Buffer.from(`${type} [trusted=yes] file:/srv/archive ./`).toString('base64');
      return `extra-apt-source:${line}`;
    });
    const argv = [debci.program, 'worker', '--do-request', '--arch', 'amd64'];
    const worker = spawn('amqp-consume', argv, {
      env: { ...process.env, ...debci.env },
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    worker.stdin.end(`${name} bookworm run-id:${id} ${sources.join(' ')}`);
    return worker;
  }
});

/**
 * An archive with the source packages mock-allow-stderr, and mock-long, whose test sleeps. autopkgtest 5.49 takes the version of a source
 * package from its binary packages, so there is one of each.
 */
function makeArchive(): string {
  const folder = scratchDir();
  chmodSync(folder, 0o755);
  for (const name of ['allow-stderr', 'long']) {
    const tree = join(folder, name);
    cpSync(join(mockPackagesDir, 'allow-stderr'), tree, { recursive: true });
    if (name === 'long') {
      for (const file of ['control', 'changelog']) {
        const path = join(tree, 'debian', file);
        writeFileSync(path, readFileSync(path, 'utf8').replaceAll('mock-allow-stderr', 'mock-long'));
      }
      writeFileSync(join(tree, 'debian/tests/control'), `Test-Command: ${SLEEP}\nDepends:\n`);
    }
    execFileSync('dpkg-source', ['--build', name], { cwd: folder, stdio: 'ignore' });
    mkdirSync(join(folder, 'binary/DEBIAN'), { recursive: true });
    writeFileSync(
      join(folder, 'binary/DEBIAN/control'),
      `Package: mock-${name}\nVersion: 1.0\nArchitecture: all\nMaintainer: Tests <tests@example.org>\nDescription: nothing\n`,
    );
    execFileSync('dpkg-deb', ['--build', 'binary', `mock-${name}_1.0_all.deb`], {
      cwd: folder,
      stdio: 'ignore',
    });
  }
  for (const index of ['Sources', 'Packages']) {
    const program = `dpkg-scan${index.toLowerCase()}`;
    const text = execFileSync(program, ['.'], { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] });
    writeFileSync(join(folder, index), text);
  }
  return folder;
}
