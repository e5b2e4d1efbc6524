/** Uses up the descriptors of this process, then looks for processes; prints the code of each failure as JSON. */
import { closeSync, openSync } from 'node:fs';
import { isAlive, thisProcess } from '../../../src/processes/identity.ts';
import { allPids } from '../../../src/processes/list.ts';
import { processState } from '../../../src/processes/stat.ts';

const self = thisProcess();
const open: number[] = [];
try {
  for (;;) open.push(openSync('/dev/null', 'r'));
} catch {}
const looks: Readonly<Record<string, () => unknown>> = {
  processState: () => processState(process.pid),
  isAlive: () => isAlive(self),
  allPids,
};
const codes = Object.entries(looks).map(([name, look]) => {
  try {
    return [name, look()];
  } catch (error) {
    return [name, typeof error === 'object' && error !== null && 'code' in error ? error.code : error];
  }
});
for (const descriptor of open) closeSync(descriptor);
console.log(JSON.stringify(Object.fromEntries(codes)));
