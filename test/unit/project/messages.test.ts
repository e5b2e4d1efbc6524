/** The sentences that the program prints, as scripts/list-messages.ts finds them. */
import assert from 'node:assert/strict';
import { listMessages } from '../../../scripts/list-messages.ts';

/** Words that a user cannot act on, or that are no English of a manual page. */
const UNCLEAR =
  /\b(who|whom|whoever|somebody|someone|told|mend|anew|hears? of|of ours)\b|(?<!\bthere )\bis no\b(?! longer)/i;

describe('what the program prints', () => {
  const messages = listMessages();
  const all = messages.flatMap(({ place, text, remedy }) => [
    { place, text },
    ...(remedy === undefined ? [] : [{ place, text: remedy }]),
  ]);

  it('is found', () => {
    assert.ok(messages.length > 300, String(messages.length));
    const known = messages.find(({ text }) => text === 'the program <name> is missing');
    assert.equal(known?.remedy, 'install the package <debianPackage>, or correct PATH');
    assert.ok(
      messages.some(
        ({ place, text }) => place.startsWith('helper/command.c') && text === 'it has no user %s',
      ),
    );
  });

  it('is plain English', () => {
    assert.deepEqual(
      // Not the code in angle brackets.
      all.filter(({ text }) => UNCLEAR.test(text.replaceAll(/<[^>]*>/g, 'X'))),
      [],
    );
  });

  it('is one sentence, which the remedy goes on', () => {
    assert.deepEqual(
      all.filter(({ text }) => /[.!]$/.test(text) || /^[A-Z][a-z]+ [a-z]/.test(text)),
      [],
    );
  });
});
