/** What `ps`, `exec` and the other verbs learn of a testbed. */
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { thisProcess } from '../processes/identity.ts';
import { register } from '../processes/open-testbeds.ts';
import type { Incarnation } from './incarnation.ts';
import type { Prepared } from './prepare.ts';
import type { TestbedOptions } from './types.ts';

interface Surroundings {
  readonly prepared: Prepared;
  readonly options: TestbedOptions;
  readonly name: string;
  readonly scratchOnDisk: string | undefined;
  readonly log: Log;
}

/** Gives the function that ends the registration. A failure does not stop the open. */
export function registerTestbed(
  { instance, layer, report, init }: Pick<Incarnation, 'instance' | 'layer' | 'report' | 'init'>,
  { prepared, options, name, scratchOnDisk = '', log }: Surroundings,
): () => void {
  const { pid, startTime, commandGroup } = instance;
  const { root, holder, base, cache } = prepared;
  const entry = {
    ...{ pid, startTime, name, since: Date.now(), root, scratch: scratchOnDisk },
    ...{ ownNetwork: options.network !== 'host', owner: process.pid },
    ...{ holder: holder.pid, layers: layer.stack, mode: options.mode },
    ...{ bases: cache.bases, keys: base.keys, binds: options.binds.map(({ inside }) => inside) },
    ...(report === undefined ? {} : { report: report.path }),
    ...(init === undefined ? {} : { init: init.path }),
    ...(commandGroup === undefined ? {} : { group: commandGroup }),
    ...(options.closable === true ? { opener: thisProcess() } : {}),
  };
  try {
    return register(entry, process.env);
  } catch (error) {
    log.debug(`ps and exec will not see the testbed: ${messageOf(error)}`);
    return () => {};
  }
}
