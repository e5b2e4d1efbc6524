import { placeOf } from '../command-line/given.ts';
import { UsageError } from '../errors.ts';
import { createLog } from '../log.ts';
import { type Registered, registered } from '../processes/open-testbeds.ts';
import { enterTestbed } from './enter.ts';
import type { RunVerb } from './verb.ts';

const LIST_THEM = 'virt-ts-unshare ps lists the open ones';

export const exec: RunVerb = async (words, signal, interrupts) => {
  const [name] = words.operands;
  if (name === undefined) {
    throw new UsageError('exec needs the name or pid of a testbed', {
      code: 'MISSING_WORD',
      remedy: LIST_THEM,
    });
  }
  const testbed = choose(name, registered(process.env));
  const log = createLog({ debug: words.has('debug') });
  return enterTestbed(testbed, placeOf(words), words.command, { log, signal, interrupts });
};

export function choose(name: string, testbeds: readonly Registered[]): Registered {
  const found = testbeds.filter(
    (each) => each.name === name || String(each.pid) === name || String(each.owner) === name,
  );
  const [one, another] = found;
  if (one === undefined) {
    throw new UsageError(`this user has no open testbed ${name}`, { code: 'NO_TESTBED', remedy: LIST_THEM });
  }
  if (another !== undefined) {
    const pids = found.map(({ pid }) => pid).join(', ');
    throw new UsageError(`${found.length} testbeds have the name ${name}`, {
      code: 'AMBIGUOUS_TESTBED',
      remedy: `give the pid of one: ${pids}`,
    });
  }
  return one;
}
