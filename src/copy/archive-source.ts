import { UsageError } from '../errors.ts';

/** A stream of Node.js or tar-stream, a web stream, or any other source of bytes; some have types without Symbol.asyncIterator. */
export type ArchiveSource = AsyncIterable<unknown> | Uint8Array;

/** From now on a failure of the source is one of the copy, which reads it only later. @throws UsageError for another value */
export function watchSource(source: ArchiveSource): void {
  if (source instanceof Uint8Array) return;
  if (typeof source !== 'object' || source === null || !(Symbol.asyncIterator in source)) {
    throw new UsageError('the archive is neither a stream nor bytes', {
      code: 'WRONG_VALUE',
      remedy: 'give a stream of bytes or a Uint8Array',
    });
  }
  call(source, 'on', 'error', () => {});
}

/** A source that still waits must not keep this process alive. A web stream that is read already belongs to its reader. */
export function stopSource(source: ArchiveSource): void {
  if (source instanceof ReadableStream && !source.locked) void source.cancel().catch(() => {});
  else if (!(source instanceof Uint8Array)) call(source, 'destroy');
}

function call(source: object, method: 'on' | 'destroy', ...args: readonly unknown[]): void {
  const found: unknown = Reflect.get(source, method);
  if (typeof found === 'function') Reflect.apply(found, source, args);
}
