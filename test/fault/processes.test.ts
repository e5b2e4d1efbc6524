/**
 * A random process of the server (stage, holder, set-up, pid 1, execute program, copies, tools) is killed or stopped at a random instant. The
 * request succeeds, or the session ends with one sentence; when a stopped process keeps it from its end, a signal ends it. Nothing is
 * left. FAULT_ROUNDS and FAULT_SEED: see fault.test.ts.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { within } from '../../src/wait.ts';
import { makeRoots } from '../race/beds.ts';
import { mountsThere } from '../support/left.ts';
import { patience } from '../support/patience.ts';
import { virt } from '../support/program.ts';
import { randomFrom } from '../support/random.ts';
import { Server } from '../support/server.ts';

const ROUNDS = Math.ceil(Number(process.env.FAULT_ROUNDS ?? 26) / 4);
const SEED = Number(process.env.FAULT_SEED ?? Date.now() % 1_000_000);
const REQUESTS = [
  'open',
  'command',
  'copydown',
  'copyup',
  'snapshot',
  'revert',
  'reboot',
  'close',
  'start',
] as const;

describe(`a process of the server that is killed or stopped (seed ${SEED})`, function () {
  this.timeout(0);
  const work = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-processes-'));
  const folders = { XDG_CACHE_HOME: join(work, 'cache'), TMPDIR: join(work, 'tmp') };
  const tree = join(work, 'tree');
  let roots: ReturnType<typeof makeRoots>;
  before(() => {
    roots = makeRoots(['busybox']);
    for (const folder of [...Object.values(folders), tree]) mkdirSync(folder);
    for (let i = 0; i < 100; i += 1) writeFileSync(join(tree, `${i}`), 'x'.repeat(10_000));
  });
  after(async () => {
    await virt(['rootfs', 'prune', '--all'], { env: folders });
    rmSync(work, { recursive: true });
    rmSync(roots.folder, { recursive: true });
  });

  const lineOf = (request: (typeof REQUESTS)[number]): string => {
    if (request === 'command')
      return 'command sh,-c,seq%201000%20%7C%20tee%20/tmp/log;%20sleep%200.1;exit%203';
    if (request === 'copydown') return `copydown ${tree}/ /tmp/tree/`;
    if (request === 'copyup') return `copyup /bin/ ${work}/out/`;
    return request === 'start' ? 'quit' : request;
  };

  async function strike(signal: 'SIGKILL' | 'SIGSTOP', round: number, random: () => number): Promise<void> {
    const request = REQUESTS[round % REQUESTS.length] ?? 'open';
    const argv = ['--tarball', roots.tarball('busybox'), ...(random() < 0.3 ? ['--network=none'] : [])];
    const server = Server.start({ argv, env: folders });
    const isFirst = request === 'open' || request === 'start';
    if (request !== 'start') await server.reply();
    if (!isFirst) await server.ask('open');
    server.send(lineOf(request));
    await delay(random() * (isFirst ? 400 : 60));
    const own = await server.pid;
    const running = server.running();
    const programOf = (line: string | undefined) => line?.replace(/^\d+ \S+ /, '');
    const programOfServer = programOf(running.find((line) => Number.parseInt(line, 10) === own));
    const others = running.filter(
      (line) =>
        Number.parseInt(line, 10) !== own &&
        // Node waits without a limit until a child has executed its program: one that is stopped before keeps the server from all else.
        (signal !== 'SIGSTOP' || programOf(line) !== programOfServer),
    );
    const victim = others[Math.floor(random() * others.length)];
    const context = `${signal} in ${request}: ${victim}`;
    if (victim !== undefined) {
      try {
        process.kill(Number.parseInt(victim, 10), signal);
      } catch {
        // It has ended.
      }
    }
    // What it was asked for, and then its end.
    server.send('quit');
    server.endOfFile();
    const ended = await within(server.ended, signal === 'SIGSTOP' ? patience(5000) : patience(30_000));
    if (!ended) await server.kill('SIGTERM');
    assert.ok(ended || signal === 'SIGSTOP', `${context}: no end`);
    assert.ok(await within(server.ended, patience(30_000)), `${context}: SIGTERM does not end it`);
    assert.deepEqual(await server.leftAfter(patience(5000)), [], context);
    const status = await server.ended;
    assert.ok([0, 12, 143].includes(status), `${context}: status ${status}\n${server.complaints}`);
    assert.doesNotMatch(server.complaints, /internal|\n {4}at /, context);
    if (status === 12) assert.match(server.complaints, /^virt-ts-unshare: [^\n]+\n/m, context);
    rmSync(join(work, 'out'), { recursive: true, force: true });
  }

  for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
    it(`${signal}, ${ROUNDS} times`, async () => {
      const random = randomFrom(SEED + signal.length);
      const mounts = mountsThere();
      const begin = Math.floor(random() * REQUESTS.length);
      for (let round = 0; round < ROUNDS; round += 1) await strike(signal, begin + round, random);
      assert.deepEqual(mountsThere(), mounts);
      assert.deepEqual(readdirSync(folders.TMPDIR), []);
    });
  }
});
