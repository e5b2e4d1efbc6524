import { readFileSync, realpathSync } from 'node:fs';
import { reasonOf, UsageError } from '../errors.ts';
import { type LabFile, parseLab } from '../lab/file.ts';
import { createLog } from '../log.ts';
import { LAB_COMMANDS } from './lab-commands.ts';
import { chooseCommand } from './sub-command.ts';
import type { RunVerb } from './verb.ts';

const TAKES_WORDS: readonly string[] = ['exec', 'link', 'cut'];

export const lab: RunVerb = async (words, signal, interrupts) => {
  const [given, path, ...more] = words.operands;
  const command = chooseCommand('lab', given, LAB_COMMANDS);
  words.mustFit(`lab ${command}`);
  if (path === undefined) {
    throw new UsageError(`lab ${command} needs a file`, { code: 'MISSING_WORD', remedy: 'see lab --help' });
  }
  const [extra] = [
    ...(TAKES_WORDS.includes(command) ? [] : more),
    ...(command === 'exec' ? [] : (words.command ?? [])),
  ];
  if (extra !== undefined) {
    throw new UsageError(`unexpected word ${extra} after lab ${command}`, {
      code: 'UNEXPECTED_WORD',
      remedy: 'see lab --help',
    });
  }
  const log = createLog({ debug: words.has('debug') });
  const file = readLab(path, words.one('name'));
  return LAB_COMMANDS[command]({ path, file, operands: more, words, log, signal, interrupts });
};

function readLab(path: string, name: string | undefined): LabFile {
  let real: string;
  let text: string;
  try {
    real = realpathSync(path);
    text = readFileSync(real, 'utf8');
  } catch (cause) {
    throw new UsageError(`cannot read the laboratory file ${path}: ${reasonOf(cause)}`, {
      code: 'CANNOT_READ',
      remedy: 'name a file that exists',
      cause,
    });
  }
  const file = parseLab(text, real);
  return name === undefined ? file : { ...file, name: `${name}-${file.name}` };
}
