import { UsageError } from '../errors.ts';
import { didYouMean } from '../nearest.ts';

export function chooseCommand<K extends string>(
  verb: string,
  given: string | undefined,
  commands: Readonly<Record<K, unknown>>,
): K {
  if (given !== undefined && isKey(given, commands)) return given;
  const known = Object.keys(commands);
  const what =
    given === undefined
      ? `${verb} needs a command`
      : `${verb} has no command ${given}${didYouMean(given, known)}`;
  throw new UsageError(what, {
    code: 'UNKNOWN_COMMAND',
    remedy: `give one of ${known.join(', ')}, or see ${verb} --help`,
  });
}

function isKey<K extends string>(text: string, record: Readonly<Record<K, unknown>>): text is K {
  return Object.hasOwn(record, text);
}
