/** What a link does to packets: latency, loss and bandwidth, as data and as arguments of tc(8). */
import { UsageError } from '../errors.ts';

/** What a link does to packets. What is omitted is not limited. */
export interface LinkQuality {
  /** Added to every packet, in each direction: milliseconds. */
  readonly latency?: number;
  /** Packets lost in each direction: percent. */
  readonly loss?: number;
  /** Bits per second in each direction. */
  readonly bandwidth?: number;
}

const RANGES = new Map([
  ['latency', { least: 0, most: 3_600_000, unit: 'milliseconds' }],
  ['loss', { least: 0, most: 100, unit: 'percent' }],
  ['bandwidth', { least: 8, most: 1e12, unit: 'bits per second' }],
]);

/** What the queues of the kernel take. @throws UsageError that names what is wrong */
export function checkQuality(quality: LinkQuality): void {
  if (typeof quality !== 'object' || quality === null) {
    throw new UsageError(`the quality of a link is ${quality}`, {
      code: 'WRONG_VALUE',
      remedy: 'give an object, such as { latency: 20, loss: 1 }',
    });
  }
  for (const [name, value] of Object.entries<unknown>({ ...quality })) {
    const range = RANGES.get(name);
    if (range === undefined) {
      throw new UsageError(`a link has no ${name}`, {
        code: 'UNKNOWN_OPTION',
        remedy: `it has ${[...RANGES.keys()].join(', ')}`,
      });
    }
    const { least, most, unit } = range;
    if (value === undefined || (typeof value === 'number' && value >= least && value <= most)) continue;
    throw new UsageError(`the ${name} of a link is ${String(value)}`, {
      code: 'WRONG_VALUE',
      remedy: `give a number of ${unit}, from ${least} to ${most}`,
    });
  }
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9 };

/** Reads latency `20ms` or `1.5s`, loss `0.5%`, bandwidth `10mbit`. @throws UsageError */
export function parseQuality(words: {
  readonly latency?: string | undefined;
  readonly loss?: string | undefined;
  readonly bandwidth?: string | undefined;
}): LinkQuality {
  const { latency, loss, bandwidth } = words;
  const quality = {
    ...(latency === undefined ? {} : { latency: latencyOf(latency) }),
    ...(loss === undefined ? {} : { loss: lossOf(loss) }),
    ...(bandwidth === undefined ? {} : { bandwidth: bandwidthOf(bandwidth) }),
  };
  checkQuality(quality);
  return quality;
}

function latencyOf(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s)$/.exec(text) ?? [];
  if (number === undefined)
    throw new UsageError(`the latency ${text} is not a time`, {
      code: 'WRONG_VALUE',
      remedy: 'write it as 20ms or 1.5s',
    });
  return Number(number) * (unit === 's' ? 1000 : 1);
}

function lossOf(text: string): number {
  const number = Number(/^(\d+(?:\.\d+)?)%$/.exec(text)?.[1]);
  if (!(number <= 100))
    throw new UsageError(`the loss ${text} is not a percentage`, {
      code: 'WRONG_VALUE',
      remedy: 'write it as 0.5%',
    });
  return number;
}

function bandwidthOf(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)([kmg]?)bit$/i.exec(text) ?? [];
  const factor = UNITS[unit?.toLowerCase() ?? ''];
  const value = Number(number) * (factor ?? Number.NaN);
  if (!(value >= 8))
    throw new UsageError(`the bandwidth ${text} is not a rate`, {
      code: 'WRONG_VALUE',
      remedy: 'write it as 10mbit',
    });
  return value;
}

function needsNetem({ latency = 0, loss = 0 }: LinkQuality): boolean {
  return latency > 0 || loss > 0;
}

/** The arguments behind `tc qdisc replace dev NAME root`; undefined: the default queue. */
export function queueArguments(quality: LinkQuality): string[] | undefined {
  const { latency = 0, loss = 0, bandwidth = 0 } = quality;
  const rate = bandwidth > 0 ? ['rate', `${Math.round(bandwidth)}bit`] : [];
  if (needsNetem(quality)) {
    return [
      'netem',
      ...(latency > 0 ? ['delay', `${latency}ms`] : []),
      ...(loss > 0 ? ['loss', `${loss}%`] : []),
      ...rate,
      // In packets; the default of 1000 would lose packets on a fast link with a long latency.
      ...['limit', '100000'],
    ];
  }
  if (bandwidth === 0) return undefined;
  // A burst of 10 ms, and at least a few packets, because tbf drops larger ones for ever.
  const burst = Math.max(Math.round(bandwidth / 8 / 100), 5 * 1514);
  return ['tbf', ...rate, 'burst', String(burst), 'latency', '400ms'];
}

export function describeQuality({ latency, loss, bandwidth }: LinkQuality): string {
  return [
    ...(latency === undefined ? [] : [`${latency} ms`]),
    ...(loss === undefined ? [] : [`${loss} % lost`]),
    ...(bandwidth === undefined ? [] : [`${bandwidth / 1e6} Mbit/s`]),
  ].join(', ');
}
