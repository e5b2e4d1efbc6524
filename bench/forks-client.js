// Times snapshots and forks in a process of its own that has loaded nothing else. Arguments: path of the library, tarball, rounds,
// and perhaps a tarball with apt for the tests with PostgreSQL, whose shell script is the last argument. Prints a JSON object a
// line: samples of a figure, or a word at which it waits for a line of stdin, so that its memory can be measured.
import { createInterface } from 'node:readline';

const [library, tarball, rounds, build, script] = process.argv.slice(2);
const { Testbed, closeAll } = await import(library);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (object) => console.log(JSON.stringify(object));

async function timed(figure, act) {
  const begin = performance.now();
  const result = await act();
  say({ figure, sample: performance.now() - begin });
  return result;
}

async function measure(what) {
  say({ measure: what });
  await lines.next();
}

/** A command shows that it is ready, and lets the process come to rest before the next figure. */
const use = (testbed) => testbed.run(['true'], { check: true });

const first = await Testbed.open({ rootfs: tarball });
await first.run('head -c 1000000 /dev/urandom >/srv/file', { check: true });
const ready = await first.snapshot();
for (let round = 0; round < Number(rounds); round++) {
  const plain = await timed('open in Node', () => Testbed.open({ rootfs: tarball }));
  await use(plain);
  await timed('revert in Node', () => plain.revert());
  await use(plain);
  const snapshot = await timed('snapshot', () => plain.snapshot());
  await use(plain);
  await plain.close();
  await snapshot.dispose();
  const fork = await timed('open from a snapshot', () => Testbed.open({ from: ready }));
  await use(fork);
  await timed('revert of a fork', () => fork.revert());
  await fork.close();
}
// The memory of this process itself grows, most at first: each of both comes as often early as late.
for (const [what, options] of [
  ['', { from: ready }],
  ['', { rootfs: tarball }],
  ['50 testbeds', { rootfs: tarball }],
  ['50 forks', { from: ready }],
  ['50 forks', { from: ready }],
  ['50 testbeds', { rootfs: tarball }],
]) {
  const all = await Promise.all(Array.from({ length: 50 }, () => Testbed.open(options)));
  for (const each of all) await use(each);
  if (what !== '') await measure(what);
  for (const each of all) await each.close();
}
if (build !== undefined) {
  const testbed = await Testbed.open({ rootfs: build });
  const INSTALL =
    'apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends postgresql';
  await testbed.run(INSTALL, { check: true, timeout: 600 });
  const withServer = await testbed.snapshot();
  const test = async (each) => {
    await timed("PostgreSQL's own start and a query", () => each.run(script, { check: true, timeout: 60 }));
    await each.close();
  };
  for (let round = 0; round < 100; round++) {
    await timed('a test with PostgreSQL', async () => test(await Testbed.open({ from: withServer })));
  }
  for (let round = 0; round < 2; round++) {
    await timed('the same, installed by each test', async () => {
      const each = await Testbed.open({ rootfs: build });
      await each.run(INSTALL, { check: true, timeout: 600 });
      await test(each);
    });
  }
}
await closeAll();
process.exit();
