/**
 * `npm run bench`: this server and its peers on the same root filesystem, alternately in one run, so that a slow minute of the
 * machine affects all of them. Prints medians, ratios and bars; `--json FILE` and `--plot FILE` keep them.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Caller, timeProgram, VirtServer } from './client.ts';
import { givesMemoryAway } from './memory.ts';
import { boot, ownBoot } from './peers/boot.ts';
import { copies, makeCopyMaterial } from './peers/copies.ts';
import { endToEnd, makePackage, nullInside, prepareImage } from './peers/end-to-end.ts';
import { forks, podmanForks } from './peers/forks.ts';
import { networks } from './peers/lab.ts';
import { library } from './peers/library.ts';
import { many } from './peers/many.ts';
import { OTHERS, toolOf, whyMissing } from './peers/others.ts';
import { coldOpen, type EndOfSession, giveTo, type ServerPeer, session } from './peers/virt-server.ts';
import { writePlot } from './plot.ts';
import { barTable, medianTable, NULL, SELF, UNSHARE } from './report.ts';
import { Results } from './results.ts';

const { values } = parseArgs({
  options: {
    tarball: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    only: {
      type: 'string',
      default: 'copy,cold,session,library,forks,others,networks,boot,many,end-to-end,breaks',
    },
    buildd: { type: 'string' },
    init: { type: 'string' },
    /** runner/autopkgtest of the source of a version 6. */
    driver6: { type: 'string', default: process.env.BENCH_DRIVER6 },
    user: { type: 'string' },
    json: { type: 'string' },
    plot: { type: 'string' },
  },
});
const { tarball } = values;
if (tarball === undefined) throw new Error('give --tarball FILE, a root filesystem; scripts/bench does');
const parts = new Set(values.only.split(','));
const rounds = Number(values.rounds);
const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-bench-'));
const inMemory = mkdtempSync('/dev/shm/virt-ts-unshare-bench-');
const results = new Results();
// The user of the servers can execute this one.
const program = process.env.BENCH_PROGRAM ?? resolve(import.meta.dirname, '../bin/virt-ts-unshare');

/** The user named by --user, for the servers; root stays for the tools that need it. */
function callerOf(name: string | undefined): Caller {
  // Node reads these certificates at each start, which takes longer than the rest of the start.
  const { NODE_EXTRA_CA_CERTS: _certificates, ...inherited } = process.env;
  if (name === undefined) return { env: inherited };
  const entry = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([user]) => user === name);
  if (entry?.[5] === undefined) throw new Error(`no user ${name} in /etc/passwd`);
  const { XDG_CACHE_HOME: _cache, XDG_RUNTIME_DIR: _runtime, ...env } = inherited;
  return {
    env: { ...env, HOME: entry[5], USER: name, LOGNAME: name },
    uid: Number(entry[2]),
    gid: Number(entry[3]),
  };
}

const caller = callerOf(values.user);
for (const place of [folder, inMemory]) giveTo(place, caller);

function serverPeers(image: string): ServerPeer[] {
  const own: ServerPeer = {
    name: SELF,
    argv: [program, '--tarball', image],
    caller,
    caches: true,
  };
  const peer = '/usr/bin/autopkgtest-virt-unshare';
  if (!existsSync(peer)) {
    results.missing.set(UNSHARE, 'not installed (Debian package autopkgtest)');
    return [own];
  }
  if ((caller.uid ?? process.getuid?.()) === 0) {
    // Its `unshare --map-auto` uses another user's range for a root without a range, and fails.
    results.missing.set(UNSHARE, 'does not work for root; give --user NAME');
    return [own];
  }
  return [own, { name: UNSHARE, argv: [peer, '--tarball', image], caller, caches: false }];
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** The first peer finds memory and disk in another state than the last one. */
function turnOf(round: number, peers: ServerPeer[]): ServerPeer[] {
  return round % 2 === 0 ? peers : [...peers].reverse();
}

try {
  const peers = serverPeers(tarball);
  const warm = await VirtServer.start([program, '--tarball', tarball], caller);
  await warm.ask('open');
  // First, and without removing files from the disk meanwhile: see EndOfSession.
  const ends: EndOfSession[] = [];
  if (parts.has('copy')) {
    for (const place of [folder, inMemory]) makeCopyMaterial(place);
    for (let round = 0; round < rounds; round++) {
      say(`copies, round ${round + 1} of ${rounds}`);
      for (const peer of turnOf(round, peers)) {
        const end = await copies(peer, inMemory, '', results);
        await end();
      }
      for (const peer of turnOf(round, peers)) ends.push(await copies(peer, folder, ', disk', results));
    }
  }
  if (parts.has('cold')) {
    for (let round = 0; round < rounds; round++) {
      say(`first open with an empty cache, round ${round + 1} of ${rounds}`);
      for (const peer of turnOf(round, peers)) {
        const end = await coldOpen(peer, inMemory, '', results);
        await end();
      }
      for (const peer of turnOf(round, peers)) ends.push(await coldOpen(peer, folder, ', disk', results));
    }
  }
  for (const end of ends) await end();
  if (parts.has('session')) {
    for (let round = 0; round < rounds; round++) {
      say(`sessions, round ${round + 1} of ${rounds}`);
      results.add('node -e 0', 'first ok', await timeProgram([process.execPath, '-e', '0'], caller));
      for (const peer of peers) await session(peer, results);
    }
  }
  if (parts.has('library')) {
    say('the library');
    await library(program, tarball, caller, results);
  }
  if (parts.has('forks')) {
    say('snapshots and forks, 100 tests with PostgreSQL');
    await forks({ program, tarball, build: values.buildd, caller }, results);
    const why = whyMissing(toolOf('podman'));
    if (why !== undefined) results.missing.set('podman', why);
    else if (values.buildd !== undefined) {
      say('the same tests with podman');
      await podmanForks(values.buildd, results).catch((error: unknown) =>
        results.missing.set('podman, forks', String(error)),
      );
    }
  }
  if (parts.has('others')) {
    const root = process.env.BENCH_ROOT;
    for (const other of OTHERS) {
      const why = root === undefined ? 'no unpacked root filesystem given (BENCH_ROOT)' : whyMissing(other);
      if (why !== undefined) results.missing.set(other.name, why);
    }
    for (let round = 0; root !== undefined && round < rounds; round++) {
      say(`other tools, round ${round + 1} of ${rounds}`);
      for (const other of OTHERS.filter((one) => !results.missing.has(one.name))) {
        await other
          .measure(root, results)
          .catch((error: unknown) => results.missing.set(other.name, String(error)));
      }
    }
  }
  const [own] = peers;
  for (let round = 0; parts.has('networks') && own !== undefined && round < rounds; round++) {
    say(`networks, round ${round + 1} of ${rounds}`);
    await networks(own, tarball, folder, results);
  }
  if (parts.has('boot') && values.init !== undefined) {
    const tree = process.env.BENCH_INIT_ROOT;
    const own = ['--tarball', values.init] as const;
    // It has a delegated cgroup there.
    const asUser = resolve(import.meta.dirname, '../scripts/as-test-user');
    const peers = (['systemd-nspawn', 'podman'] as const).filter((name) => {
      const why = tree === undefined ? 'BENCH_INIT_ROOT is not given' : whyMissing(toolOf(name));
      if (why !== undefined) results.missing.set(`${name}, booted`, why);
      return why === undefined;
    });
    for (let round = 0; round < rounds; round++) {
      say(`systems with their own init, round ${round + 1} of ${rounds}`);
      if (values.user === undefined) await ownBoot([program, ...own], caller, results);
      else await ownBoot([asUser, program, ...own], { env: process.env }, results);
      for (const peer of peers.filter((name) => !results.missing.has(`${name}, booted`))) {
        await boot(peer, tree ?? '', results).catch((error: unknown) =>
          results.missing.set(`${peer}, booted`, String(error)),
        );
      }
    }
  }
  if (parts.has('many') && own !== undefined) {
    say('fifty testbeds at once');
    await many(own, results);
  }
  if (parts.has('end-to-end')) {
    const image = values.buildd ?? tarball;
    const noIsolation = { name: NULL, argv: ['/usr/bin/autopkgtest-virt-null'], caller } as const;
    const two = { name: 'autopkgtest, 2 tests', place: makePackage(folder, 'autopkgtest, 2 tests') } as const;
    for (let round = 0; round < rounds; round++) {
      say(`autopkgtest, 2 tests, round ${round + 1} of ${rounds}`);
      for (const peer of [noIsolation, ...serverPeers(image)]) await endToEnd(peer, two, results);
    }
    const name = 'autopkgtest, 5 tests with dependencies';
    const five = { name, place: makePackage(folder, name) } as const;
    const prepared = await prepareImage({ program, tarball: image, caller }, name);
    try {
      const own = { name: SELF, argv: [program, ...prepared.argv], caller } as const;
      for (let round = 0; round < rounds; round++) {
        say(`${name}, round ${round + 1} of ${rounds}`);
        await nullInside([program, ...prepared.argv], caller, five, results);
        await endToEnd(own, five, results);
      }
    } finally {
      await prepared.remove();
    }
    const driver = values.driver6;
    if (driver === undefined) {
      results.missing.set('autopkgtest 6', 'set BENCH_DRIVER6 to runner/autopkgtest of its source');
    } else {
      const name = 'autopkgtest 6, 10 tests';
      const ten = { name, place: makePackage(folder, name), driver } as const;
      const own = { name: SELF, argv: [program, '--tarball', image], caller } as const;
      for (let round = 0; round < rounds; round++) {
        say(`${name}, round ${round + 1} of ${rounds}`);
        for (const peer of [noIsolation, own]) await endToEnd(peer, ten, results);
      }
    }
  }
  if (parts.has('breaks')) {
    const image = values.buildd ?? tarball;
    const place = makePackage(folder, '20 breaks-testbed tests');
    for (const peer of serverPeers(image)) {
      say(`20 breaks-testbed tests with ${peer.name}`);
      await endToEnd(peer, { name: '20 breaks-testbed tests', place }, results);
    }
  }
  await warm.quit();
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}, Linux, Node ${process.version}`;
  console.log(`\n${new Date().toISOString().slice(0, 10)}, ${machine}\n`);
  console.log(medianTable(results), '\n');
  console.log(barTable(results), '\n');
  for (const [peer, why] of results.missing) console.log(`missing: ${peer}: ${why}`);
  if (givesMemoryAway()) {
    console.log(
      'note: this virtual machine gives free memory back to its host, so copies may take several times as long',
    );
    console.log(
      'as they need; to measure without that: echo 11 >/sys/module/page_reporting/parameters/page_reporting_order',
    );
  }
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, undefined, 2)}\n`);
  if (values.plot !== undefined) await writePlot(results, values.plot);
} finally {
  for (const place of [folder, inMemory]) rmSync(place, { recursive: true, force: true });
}
