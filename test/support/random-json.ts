/** Files that should have a JSON value of some form, as another program or a crash could leave them. */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import fc from 'fast-check';

const scalar = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    0,
    -1,
    1e308,
    2 ** 53,
    '',
    '..',
    '../../etc',
    '/',
    'a\0b',
    '\x1b[2J',
    '4194305',
  ),
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.integer(),
);

/** A value of the right form with some members removed or replaced. */
export function nearly(right: Readonly<Record<string, unknown>>): fc.Arbitrary<unknown> {
  const names = [...Object.keys(right), '__proto__', 'more'];
  const change = fc.tuple(
    fc.constantFrom(...names),
    fc.oneof(
      scalar,
      fc.array(scalar, { maxLength: 3 }),
      fc.dictionary(fc.string({ maxLength: 3 }), scalar, { maxKeys: 2 }),
      fc.constant(undefined),
    ),
  );
  return fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .array(change, { maxLength: 2 })
        .map((changes) => ({ ...right, ...Object.fromEntries(changes) })),
    },
    { weight: 1, arbitrary: fc.oneof(scalar, fc.array(scalar)) },
  );
}

export type Content =
  | { readonly kind: 'text'; readonly bytes: Buffer }
  | { readonly kind: 'folder' | 'loop' | 'dangling' | 'empty' | 'closed' };

export function contents(right: Readonly<Record<string, unknown>>): fc.Arbitrary<Content> {
  const text = nearly(right).map((value) => Buffer.from(JSON.stringify(value) ?? ''));
  return fc.oneof(
    { weight: 8, arbitrary: text.map((bytes) => ({ kind: 'text' as const, bytes })) },
    {
      weight: 2,
      arbitrary: fc.tuple(text, fc.nat(), fc.nat({ max: 255 })).map(([bytes, at, byte]) => {
        const changed = Buffer.from(bytes);
        if (changed.length > 0) changed[at % changed.length] = byte;
        return {
          kind: 'text' as const,
          bytes: byte < 100 ? changed.subarray(0, at % (changed.length + 1)) : changed,
        };
      }),
    },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom(
          'folder' as const,
          'loop' as const,
          'dangling' as const,
          'empty' as const,
          'closed' as const,
        )
        .map((kind) => ({ kind })),
    },
  );
}

export function put(path: string, content: Content): void {
  mkdirSync(dirname(path), { recursive: true });
  if (content.kind === 'text') writeFileSync(path, content.bytes);
  else if (content.kind === 'folder') mkdirSync(path);
  else if (content.kind === 'loop') symlinkSync(path, path);
  else if (content.kind === 'dangling') symlinkSync('/no/such/file', path);
  else writeFileSync(path, '', { mode: content.kind === 'closed' ? 0 : 0o600 });
}

export function clear(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
}
