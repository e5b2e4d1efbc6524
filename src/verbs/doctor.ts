/** `doctor`: what works on this machine, and the remedy for what does not. */
import { type Check, type Diagnosis, diagnose } from '../doctor/diagnosis.ts';
import { gatherFacts } from '../doctor/facts.ts';
import { createLog } from '../log.ts';
import type { RunVerb } from './verb.ts';

export const doctor: RunVerb = async (words) => {
  const diagnosis = diagnose(await gatherFacts(createLog({ debug: words.has('debug') })));
  process.stdout.write(words.has('json') ? `${JSON.stringify(diagnosis, null, 2)}\n` : report(diagnosis));
  return diagnosis.works ? 0 : 1;
};

const SHOWN: Readonly<Record<Check['state'], string>> = { works: 'ok', limited: 'limited', fails: 'FAILS' };

function report({ works, checks }: Diagnosis): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.flatMap(({ name, state, detail, remedy }) => [
    `${SHOWN[state].padEnd(7)}  ${name.padEnd(width)}  ${detail}`,
    ...(remedy === undefined ? [] : [`${' '.repeat(11 + width)}-> ${remedy}`]),
  ]);
  const failing = checks.filter(({ state }) => state === 'fails').map(({ name }) => name);
  const sum = works
    ? 'The server will work.'
    : `The server will not work: ${failing.join(', ')}. Do what stands behind the arrows, from the top.`;
  return `${[...lines, '', sum].join('\n')}\n`;
}
