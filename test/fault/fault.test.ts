/**
 * The server is ended at random instants of what it does, and nothing may be left.
 * FAULT_ROUNDS: instants for each way to end it (default 26, each phase twice); FAULT_SEED: repeats the instants of an earlier run.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { within } from '../../src/wait.ts';
import { mountsThere } from '../support/left.ts';
import { patience } from '../support/patience.ts';
import { randomFrom } from '../support/random.ts';
import { projectDir, testTarball } from '../support/rootfs.ts';
import { Server } from '../support/server.ts';

const ROUNDS = Number(process.env.FAULT_ROUNDS ?? 26);
const SEED = Number(process.env.FAULT_SEED ?? Date.now() % 1_000_000);
const FILE_SIZE = 8_000_000;
const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** Does what has to be done before, then starts what is to be interrupted and resolves when that is done. */
type Phase = (server: Server) => Promise<() => Promise<unknown>>;

describe(`a server that is ended at any instant (seed ${SEED})`, function () {
  this.timeout(20_000 + ROUNDS * 10_000);
  const random = randomFrom(SEED);
  const work = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-fault-'));
  const folders = { cache: join(work, 'cache'), tmp: join(work, 'tmp'), scratch: join(work, 'scratch') };
  const source = join(work, 'source');
  const target = join(work, 'target');
  /** Milliseconds that each phase takes when nothing interrupts it. */
  const durations = new Map<string, number>();
  let untouched: string[];

  const start = (onDisk: boolean, cache = folders.cache) =>
    Server.start({
      argv: ['--tarball', testTarball(), ...(onDisk ? ['--scratch', folders.scratch] : [])],
      env: { XDG_CACHE_HOME: cache, TMPDIR: folders.tmp },
    });
  /** Only the program itself can delete bases: an ordinary user does not own them. */
  const prune = (cache: string) =>
    execFileSync(process.execPath, [`${projectDir}bin/virt-ts-unshare`, 'rootfs', 'prune', '--max-age=0'], {
      env: { ...process.env, XDG_CACHE_HOME: cache },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  const opened = async (server: Server) => {
    await server.reply();
    return server.ask('open');
  };
  const inOpen =
    (request: (scratch: string) => string): Phase =>
    async (server) => {
      const [scratch = ''] = await opened(server);
      await server.ask(`copydown ${source}/file ${scratch}/file`);
      return () => server.ask(request(scratch));
    };
  const DAEMONS =
    'i=0; while [ $i -lt 20 ]; do (trap "" TERM HUP INT; exec setsid sh -c "sleep 300; :") </dev/null >/dev/null 2>&1 & i=$((i+1)); done; kill -STOP $!; sleep 0.1';
  const phases: Readonly<Record<string, Phase>> = {
    'its start': async (server) => () => server.reply(),
    open: async (server) => {
      await server.reply();
      return () => server.ask('open');
    },
    revert: inOpen(() => 'revert'),
    snapshot: inOpen(() => 'snapshot'),
    'a revert to a snapshot, made ahead': async (server) => {
      await opened(server);
      for (const request of ['snapshot', 'revert']) await server.ask(request);
      // Made in this time, or half made: both are instants that a server is killed at.
      await delay(random() * 60);
      return () => server.ask('revert');
    },
    'copydown of a file': inOpen((scratch) => `copydown ${source}/file ${scratch}/again`),
    'copydown of a tree': inOpen((scratch) => `copydown ${source}/ ${scratch}/tree/`),
    'copyup of a file': inOpen((scratch) => `copyup ${scratch}/file ${target}/file`),
    'copyup of a tree': inOpen((scratch) => `copyup ${scratch}/ ${target}/tree/`),
    command: inOpen(() => `command sh,-c,${encodeURIComponent(DAEMONS)}`),
    'a command of the driver': async (server) => {
      await opened(server);
      const [words = ''] = await server.ask('print-execute-command');
      const [program = '', ...argv] = words.split(',').map(decodeURIComponent);
      return () => once(spawn(program, [...argv, 'sh', '-c', DAEMONS], { stdio: 'ignore' }), 'exit');
    },
    close: inOpen(() => 'close'),
    quit: inOpen(() => 'quit'),
  };

  before(async () => {
    for (const folder of [...Object.values(folders), source, target]) mkdirSync(folder);
    writeFileSync(join(source, 'file'), Buffer.alloc(FILE_SIZE, 'x'));
    mkdirSync(join(source, 'folder'));
    for (let i = 0; i < 300; i += 1) writeFileSync(join(source, 'folder', `${i}`), `${i}`);
    const first = start(false);
    await opened(first);
    await first.ask('quit');
    for (const [name, phase] of Object.entries(phases)) {
      const server = start(false);
      const work = await phase(server);
      const begin = performance.now();
      await work();
      durations.set(name, performance.now() - begin);
      server.endOfFile();
      await server.ended;
      rmSync(target, { recursive: true });
      mkdirSync(target);
    }
    untouched = filesThere();
  });
  after(() => {
    prune(folders.cache);
    rmSync(work, { recursive: true, force: true });
  });

  /** All that is kept on disk, without the content of the bases. */
  function filesThere(): string[] {
    return [folders.cache, folders.tmp, folders.scratch, target].flatMap((folder) =>
      below(folder).map((path) => path.slice(work.length)),
    );
  }

  /** Runs a phase, ends the server at a random instant of it by `end`, and gives the phase's name. */
  async function interrupt(round: number, end: (server: Server) => Promise<void> | void) {
    const names = Object.keys(phases);
    const name = names[round % names.length] ?? '';
    const phase = phases[name];
    assert.ok(phase);
    const onDisk = random() < 0.3;
    const server = start(onDisk);
    const mounts = mountsThere();
    const running = (await phase(server))().catch(() => {});
    const instant = random() * 1.1 * (durations.get(name) ?? 0);
    await delay(instant);
    await end(server);
    const context = `${name}${onDisk ? ', scratch on disk' : ''}, after ${instant.toFixed(1)} ms`;
    return { server, running, mounts, context };
  }

  it(`leaves nothing when SIGKILL ends it, ${ROUNDS} times`, async () => {
    let longest = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      // One that got quit may be gone before.
      const { server, running, mounts, context } = await interrupt(round, (one) =>
        one.kill('SIGKILL').catch(() => {}),
      );
      const begin = performance.now();
      assert.deepEqual(await server.leftAfter(patience(2000)), [], context);
      longest = Math.max(longest, performance.now() - begin);
      assert.ok(await within(running, patience(2000)), `${context}: what waited for it still waits`);
      assert.deepEqual(mountsThere(), mounts, context);
      // What the next start removes: a lock, a mark of use (both empty), a scratch on disk.
      const forNextStart = /^\/cache\/virt-ts-unshare\/(locks|bases\/[^/]+\/users)\/|^\/scratch\/scratch-/;
      clearTarget();
      const left = filesThere().filter((path) => !untouched.includes(path) && !forNextStart.test(path));
      assert.deepEqual(left, [], context);
    }
    console.log(`        the longest end took ${longest.toFixed(0)} ms`);
  });

  it('has the next start remove what SIGKILL could leave', async () => {
    let complaints = '';
    for (const onDisk of [true, false]) {
      const server = start(onDisk);
      await opened(server);
      await server.ask('quit');
      assert.equal(await server.ended, 0);
      complaints += server.complaints;
    }
    assert.deepEqual(filesThere(), untouched, complaints);
  });

  it(`ends an unpacking with it, ${Math.ceil(ROUNDS / 13)} times`, async () => {
    const cache = join(work, 'fresh');
    mkdirSync(cache, { recursive: true });
    for (let round = 0; round < Math.ceil(ROUNDS / 13); round += 1) {
      for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
        const server = start(false, cache);
        await server.reply();
        await delay(random() * 2000);
        await server.kill(signal);
        await server.ended;
        const context = `${signal} in round ${round}`;
        assert.deepEqual(
          signal === 'SIGKILL' ? await server.leftAfter(patience(2000)) : server.running(),
          [],
          context,
        );
      }
      const server = start(false, cache);
      await opened(server);
      await server.ask('quit');
      const left = below(join(cache, 'virt-ts-unshare'));
      assert.deepEqual(
        left.filter((path) => /\/(\.new-|\.old-|users\/|locks\/)/.test(path)),
        [],
      );
      prune(cache);
    }
  });

  for (const [signal, status] of Object.entries(SIGNALS)) {
    it(`closes cleanly at ${signal}, ${ROUNDS} times`, async () => {
      for (let round = 0; round < ROUNDS; round += 1) {
        const by = signal === 'SIGHUP' || signal === 'SIGINT' || signal === 'SIGTERM' ? signal : 'SIGTERM';
        const { server, running, mounts, context } = await interrupt(round, (one) =>
          one.kill(by).catch(() => {}),
        );
        const ended = await server.ended;
        // At that very instant.
        assert.deepEqual(server.running(), [], context);
        clearTarget();
        assert.deepEqual(filesThere(), untouched, `${context}\n${server.complaints}`);
        assert.ok(
          ended === status || (ended === 0 && context.startsWith('quit')),
          `${context}: ended with ${ended}`,
        );
        assert.deepEqual(mountsThere(), mounts, context);
        assert.ok(await within(running, patience(2000)), `${context}: what waited for it still waits`);
      }
    });
  }

  it(`closes cleanly at the end of file, ${ROUNDS} times`, async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const { server, running, mounts, context } = await interrupt(round, (one) => one.endOfFile());
      const ended = await server.ended;
      assert.deepEqual(server.running(), [], context);
      assert.ok(
        ended === 12 || (ended === 0 && context.startsWith('quit')),
        `${context}: ended with ${ended}`,
      );
      clearTarget();
      assert.deepEqual(filesThere(), untouched, `${context}\n${server.complaints}`);
      assert.deepEqual(mountsThere(), mounts, context);
      assert.ok(await within(running, patience(2000)), `${context}: what waited for it still waits`);
    }
  });

  /** A copy that was done in time is no leftover, but half of one is. */
  function clearTarget(): void {
    const file = statSync(join(target, 'file'), { throwIfNoEntry: false });
    assert.ok(file === undefined || file.size === FILE_SIZE, `half a file: ${file?.size} bytes`);
    for (const name of ['file', 'tree']) rmSync(join(target, name), { recursive: true, force: true });
  }
});

/** Everything below a folder but the trees of bases. */
function below(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    // Written once a base is old enough, see rootfs/base.ts.
    if (entry.name === 'settled') return [];
    if (!entry.isDirectory() || entry.name === 'tree') return [path];
    return [path, ...(entry.name.startsWith('scratch-') ? [] : below(path))];
  });
}
