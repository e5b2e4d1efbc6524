/** `doctor`: what of this machine the server can use, and what to do about the rest. */
import { type Check, type Diagnosis, diagnose } from '../doctor/diagnosis.ts';
import { gatherFacts } from '../doctor/facts.ts';
import { createLog } from '../log.ts';
import type { RunVerb } from './verb.ts';
import { parseVerb } from './words.ts';

const HELP = `Usage: virt-ts-unshare doctor [OPTION]...

Tries on this machine what testbeds need, and says what works, what does not and what to do about it. Exits with 0 if the
server will work, with 1 if it will not.

      --json         the same as one JSON object: { works, checks: [{ name, state, detail, remedy }] }
  -d, --debug        say on stderr what is done
      --stay-root    do not become the user who called sudo

Example:
  virt-ts-unshare doctor
`;

export const doctor: RunVerb = async (argv) => {
  const options = parse(argv);
  if (options.help === true) {
    process.stdout.write(HELP);
    return 0;
  }
  const diagnosis = diagnose(await gatherFacts(createLog({ debug: options.debug ?? false })));
  process.stdout.write(options.json === true ? `${JSON.stringify(diagnosis, null, 2)}\n` : report(diagnosis));
  return diagnosis.works ? 0 : 1;
};

function parse(argv: readonly string[]) {
  return parseVerb('doctor', {
    args: [...argv],
    options: {
      json: { type: 'boolean' },
      debug: { type: 'boolean', short: 'd' },
      help: { type: 'boolean', short: 'h' },
    },
  }).values;
}

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
    : `The server will not work: ${failing.join(', ')}. Mend what has an arrow, from the top.`;
  return `${[...lines, '', sum].join('\n')}\n`;
}
