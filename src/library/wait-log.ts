import { NotReadyError, UsageError } from '../errors.ts';
import { printable, shellLine } from '../log.ts';
import { notAllowed } from './checks.ts';
import type { LineLog } from './line-log.ts';
import { logsOf } from './start.ts';
import type { LogCondition } from './wait-types.ts';

/** How many of the last lines an error has, and how many characters of each. */
const LAST_LINES = 5;
const LINE_LENGTH = 200;

export function waitForLog({
  log,
  of,
  times = 1,
}: LogCondition): (how: { limit: number; signal: AbortSignal }) => Promise<string> {
  if (typeof log !== 'string' && !(log instanceof RegExp))
    throw notAllowed('log', log, 'give a text or a RegExp');
  const running = typeof of === 'object' && of !== null ? logsOf(of) : undefined;
  if (running === undefined) {
    throw new UsageError('of is not a running command', {
      code: 'WRONG_VALUE',
      remedy: 'give what start returned',
    });
  }
  const { argv, logs } = running;
  // Without the flags with which a RegExp remembers where it was.
  const expression =
    typeof log === 'string' ? undefined : new RegExp(log.source, log.flags.replace(/[gy]/g, ''));
  const fits = (line: string) =>
    typeof log === 'string' ? line.includes(log) : expression?.test(line) === true;
  const what = `${log} in the output of ${shellLine(argv)}`;

  return ({ limit, signal }) => {
    const outputs = logs();
    const looked = outputs.map(() => 0);
    let found = 0;
    const look = (): string | undefined => {
      for (const [index, output] of outputs.entries()) {
        const lines = output.from(looked[index] ?? 0);
        looked[index] = output.next;
        for (const line of lines) {
          if (fits(line)) found += 1;
          if (found >= times) return line;
        }
      }
      return undefined;
    };
    const failure = (how: string, code: string, remedy: string) => {
      const seen = lastLines(outputs);
      const words = seen === '' ? 'it wrote nothing' : `its last lines are: ${seen.replaceAll('\n', ' | ')}`;
      return new NotReadyError(`${what} did not come ${how}: ${words}`, { code, seen, remedy });
    };
    return new Promise<string>((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const stops: (() => void)[] = [];
      const finish = (act: () => void) => {
        for (const stop of stops) stop();
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        act();
      };
      const abort = () => finish(() => reject(signal.reason));
      const check = () => {
        const line = look();
        if (line !== undefined) return finish(() => resolve(line));
        if (!outputs.every(({ isEnded }) => isEnded)) return;
        const error = failure('before it ended', 'COMMAND_ENDED', 'look for the reason in its output');
        finish(() => reject(error));
      };
      if (signal.aborted) return reject(signal.reason);
      signal.addEventListener('abort', abort, { once: true });
      timer = setTimeout(() => {
        const error = failure(
          `in ${limit} s`,
          'NOT_READY',
          'look for the reason in its output, or raise timeout',
        );
        finish(() => reject(error));
      }, limit * 1000);
      stops.push(...outputs.map((output) => output.listen(check)));
      check();
    });
  };
}

function lastLines(outputs: readonly LineLog[]): string {
  return outputs
    .flatMap((output) => output.from(output.next - LAST_LINES))
    .map((line) => printable(line.length > LINE_LENGTH ? `${line.slice(0, LINE_LENGTH)}…` : line))
    .join('\n');
}
