import { variables } from '../command-line/given.ts';
import type { Argv } from '../host.ts';
import { createLog } from '../log.ts';
import { detach } from './detach.ts';
import { KEEPER, keep } from './keep.ts';
import { runIsolated } from './run-isolated.ts';
import { runInTestbed } from './run-testbed.ts';
import type { RunVerb } from './verb.ts';

export const run: RunVerb = async (words, signal, interrupts) => {
  const onHost = words.has('host');
  words.mustFit(onHost ? 'run --host' : 'run');
  const env = variables(words);
  if (!onHost && words.has('detach')) {
    return process.env[KEEPER] === undefined ? detach(words, signal) : keep(words, signal);
  }
  if (!onHost) return runInTestbed(words, { signal, interrupts });
  const log = createLog({ debug: words.has('debug') });
  const options = {
    root: words.has('root'),
    interactive: false,
    requireIsolation: words.has('require-isolation'),
    failOnLeak: words.has('fail-on-leak'),
    env,
  };
  const shell: Argv = [process.env.SHELL || '/bin/sh'];
  return runIsolated(words.command ?? shell, options, { log, signal, interrupts });
};
