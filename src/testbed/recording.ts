/** Opens a testbed with events. */
import { TestbedError } from '../errors.ts';
import { Recorder } from '../events/recorder.ts';
import type { OnEvent, OpenEvent } from '../events/types.ts';
import { helperWords } from '../helper.ts';
import { spawnHost, textOf } from '../host.ts';
import { Life, type Opening } from './life.ts';
import type { TestbedMaker } from './maker.ts';

/** Bytes; that of a desktop with 5000 packages has 5 MB. */
const LARGEST_STATUS = 32 * 1024 ** 2;

interface Recorded {
  readonly life: Life;
  readonly recorder: Recorder;
}

export async function beginRecorded(
  maker: TestbedMaker,
  { from, signal }: Opening,
  onEvent: OnEvent,
): Promise<Recorded> {
  let life: Life | undefined;
  const { log, options } = maker;
  const readStatus = async () => {
    if (life?.isOpen !== true) return undefined;
    const { pid } = life.incarnation.instance;
    return readDpkgStatus(pid, await maker.holder().then((holder) => holder.pid), maker);
  };
  const recorder = new Recorder({ onEvent, log, readStatus });
  let root: string | undefined;
  const facts = () => ({
    ...{ event: 'open' as const, name: maker.hostname, network: networkName(options.network) },
    ...(root === undefined ? {} : { root }),
    ...(from === undefined ? {} : { fork: true as const }),
  });
  try {
    const begun = await recorder.operation(facts, async () => {
      const begun = await Life.begin(maker, { from, recorder, signal });
      life = begun;
      await recorder.learnPackages();
      root = await maker.rootName();
      return begun;
    });
    maker.recorders.add(recorder);
    return { life: begun, recorder };
  } catch (error) {
    recorder.close();
    throw error;
  }
}

function networkName(network: TestbedMaker['options']['network']): OpenEvent['network'] {
  return typeof network === 'string' ? network : 'laboratory';
}

/** A line with the state of the file, and its content. @throws TestbedError when the helper cannot be started */
async function readDpkgStatus(
  pid: number,
  holder: number,
  { log }: Pick<TestbedMaker, 'log'>,
): Promise<string | undefined> {
  const words = helperWords(
    'read',
    String(holder),
    String(pid),
    'var/lib/dpkg/status',
    String(LARGEST_STATUS),
  );
  const started = await spawnHost(words, log, { stdio: ['ignore', 'pipe', 'ignore'] });
  const [text, { status }] = await Promise.all([textOf(started.child.stdout), started.exited]);
  if (status > 1) throw new TestbedError(`reading dpkg's status failed with status ${status}`);
  return status === 0 ? text : undefined;
}
