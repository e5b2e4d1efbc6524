import { UsageError } from '../errors.ts';

const UNITS = ['', 'K', 'M', 'G', 'T'] as const;

export function parseSize(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, digits, unit] = /^(\d+(?:\.\d+)?)([KMGT]?)i?B?$/i.exec(text) ?? [];
  if (digits === undefined)
    throw wrongValue(`${option} is ${text}, which is not a size`, 'write it like 500M or 20G');
  const power = UNITS.findIndex((each) => each === (unit ?? '').toUpperCase());
  return Number(digits) * 1024 ** power;
}

export function parseCount(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,8}$/.test(text)) {
    throw wrongValue(`${option} is ${text}, which is not a number above 0`, 'write it like 1000');
  }
  return Number(text);
}

export function parseDays(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d+(\.\d+)?$/.test(text)) {
    throw wrongValue(`${option} is ${text}, which is not a number of days`, 'write it like 30');
  }
  return Number(text) * 24 * 60 * 60 * 1000;
}

export function parseSeconds(option: string, text: string): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  // The timers of Node take at most 2^31 milliseconds.
  if (!(value > 0 && value <= 2_147_483)) {
    throw wrongValue(
      `${option} is ${text}, which is not a number of seconds that can be used`,
      'give seconds, more than 0 and at most 2147483',
    );
  }
  return value;
}

export function wrongValue(what: string, remedy: string): UsageError {
  return new UsageError(what, { code: 'WRONG_VALUE', remedy });
}
