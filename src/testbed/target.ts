import type { Instance } from '../namespaces/instance.ts';
import type { Target } from './execute.ts';
import type { ReportFile } from './report-file.ts';
import type { TestbedOptions } from './types.ts';

/** Where commands of a testbed run. */
export function targetOf(
  { instance, report }: { readonly instance: Instance; readonly report: ReportFile | undefined },
  options: Pick<TestbedOptions, 'network' | 'drainTimeout'>,
): Target {
  const { pid, mark, holderPid, commandGroup } = instance;
  return {
    ...{ pid, mark, holder: holderPid },
    ownNetwork: options.network !== 'host',
    drainTimeout: options.drainTimeout,
    ...(commandGroup === undefined ? {} : { group: commandGroup }),
    ...(report === undefined ? {} : { report }),
  };
}
