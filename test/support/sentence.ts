/** What every error that a user may see must be. */
import assert from 'node:assert/strict';
import type { VirtError } from '../../src/errors.ts';
import { printable } from '../../src/log.ts';

/** One sentence, which names a reason. It may quote a newline of its user; other control characters are removed by the log. */
export function checkSentence({ message, code }: VirtError): void {
  assert.match(code, /^[A-Z][A-Z_0-9]+$/);
  const shown = printable(message);
  assert.doesNotMatch(shown, /\n {4}at |\[object/, message);
  assert.doesNotMatch(shown, /: ;|:\s*$|: $/, message);
}
