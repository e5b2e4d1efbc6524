// Times the library's run() of `true` against Node's spawn of `true` on the host, in turn, in a process of its own that has
// loaded nothing else. Arguments: path of the library, tarball, rounds. Prints a JSON object with milliseconds.
import { spawn } from 'node:child_process';

const [library, tarball, rounds] = process.argv.slice(2);
const { Testbed } = await import(library);
const testbed = await Testbed.open({ rootfs: tarball });
const times = { library: [], spawn: [] };

async function timed(list, act) {
  const begin = performance.now();
  await act();
  list.push(performance.now() - begin);
}

/** With its outputs captured, as run() does it. */
function spawnTrue() {
  return new Promise((resolve, reject) => {
    const child = spawn('true', [], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) stream.resume();
    child.once('error', reject);
    child.once('close', resolve);
  });
}

for (let round = 0; round < Number(rounds); round++) {
  await timed(times.spawn, spawnTrue);
  await timed(times.library, () => testbed.run(['true']));
}
await testbed.close();
console.log(JSON.stringify(times));
