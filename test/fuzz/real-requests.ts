/** Random sessions for a real testbed, each with the replies and host files that it must lead to. */
import { join } from 'node:path';
import fc from 'fast-check';

export type Action =
  | {
      readonly kind:
        | 'open'
        | 'close'
        | 'revert'
        | 'snapshot'
        | 'reboot'
        | 'quit'
        | 'capabilities'
        | 'execute';
    }
  | {
      readonly kind: 'write' | 'read' | 'down' | 'up' | 'feed';
      readonly name: number;
      readonly content: Buffer;
    }
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'late' | 'daemon' | 'many' }
  | { readonly kind: 'tree'; readonly name: number; readonly content: Buffer }
  | { readonly kind: 'misuse'; readonly line: string };

/** How the driver behaves. */
export interface Manner {
  /** Sizes of the pieces in which the requests are written, and whether it waits for the reply before the next one. */
  readonly pieces: readonly number[];
  readonly waits: boolean;
  /** Bytes after which stdin is closed, or the signal comes. */
  readonly cut: { readonly after: number; readonly signal: boolean } | null;
  readonly readsStdout: boolean;
  readonly readsStderr: boolean;
}

const content = fc.oneof(
  { weight: 5, arbitrary: fc.uint8Array({ maxLength: 40 }) },
  {
    weight: 1,
    arbitrary: fc
      .integer({ min: 1, max: 400_000 })
      .map((length) => Buffer.alloc(length, 'abc\xff\n', 'latin1')),
  },
);
const name = fc.nat({ max: 3 });
const file = fc.record({
  kind: fc.constantFrom(
    'write' as const,
    'read' as const,
    'down' as const,
    'up' as const,
    'feed' as const,
    'tree' as const,
  ),
  name,
  content: content.map((bytes) => Buffer.from(bytes)),
});
const simple = <
  K extends Exclude<Action['kind'], 'status' | 'misuse' | 'write' | 'read' | 'down' | 'up' | 'feed' | 'tree'>,
>(
  ...kinds: K[]
) => fc.constantFrom(...kinds).map((kind) => ({ kind }));

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 12, arbitrary: file },
  { weight: 4, arbitrary: simple('revert', 'snapshot', 'reboot', 'open', 'close') },
  { weight: 2, arbitrary: simple('capabilities', 'execute', 'daemon') },
  { weight: 1, arbitrary: simple('late', 'many') },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('status' as const), status: fc.integer({ min: 0, max: 255 }) }),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(
        '',
        'frobnicate',
        'command %ff',
        'copyup /a',
        'op\0en',
        '\xff\xfe',
        `!${'x'.repeat(8 * 2 ** 20)}`,
      )
      .map((line) => ({ kind: 'misuse' as const, line })),
  },
);

export const realSessions: fc.Arbitrary<readonly Action[]> = fc
  .tuple(fc.array(action, { maxLength: 10 }), fc.boolean())
  .map(([actions, quits]) => [{ kind: 'open' }, ...actions, ...(quits ? [{ kind: 'quit' as const }] : [])]);

export const manners: fc.Arbitrary<Manner> = fc.record({
  pieces: fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 8 }),
  waits: fc.boolean(),
  cut: fc.option(fc.record({ after: fc.nat({ max: 1500 }), signal: fc.boolean() }), { freq: 2 }),
  readsStdout: fc.boolean(),
  readsStderr: fc.boolean(),
});

export interface Request {
  /** Without its newline, as latin1. */
  readonly line: string;
  /** Undefined: the session ends. */
  readonly reply: string | RegExp | undefined;
  /** A file of the host that must have this content afterwards. */
  readonly made?: { readonly path: string; readonly content: Buffer };
  /** Files of the host that must be there before. */
  readonly needs?: { readonly path: string; readonly content: Buffer };
}

const encode = (text: string) =>
  [...Buffer.from(text, 'latin1')].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
const shell = (script: string) => `command sh,-c,${encode(script)}`;

/** @param folder of the host, for the files of this session */
export function requestsOf(actions: readonly Action[], folder: string): Request[] {
  let isOpen = false;
  let files = new Map<string, Buffer>();
  let base = files;
  const requests: Request[] = [];
  const scratch = /^ok \S+$/;
  for (const [index, one] of actions.entries()) {
    const add = (line: string, reply: Request['reply'], more: Partial<Request> = {}) =>
      requests.push({ line, reply: isOpen ? reply : undefined, ...more });
    const host = join(folder, `${index}`);
    // One name is not UTF-8, and has a blank.
    const inside = 'name' in one ? `/tmp/f${one.name}${one.name === 3 ? '\xff %' : ''}` : '';
    // Words of a command must be UTF-8.
    const glob = inside.replace('\xff %', '*');
    switch (one.kind) {
      case 'open':
        requests.push({ line: 'open', reply: isOpen ? undefined : scratch });
        isOpen = true;
        files = new Map();
        base = new Map();
        break;
      case 'close':
        add('close', 'ok');
        isOpen = false;
        break;
      case 'revert':
        add('revert', scratch);
        files = new Map(base);
        break;
      case 'snapshot':
        add('snapshot', scratch);
        base = new Map(files);
        break;
      case 'reboot':
        add('reboot', 'ok');
        break;
      case 'capabilities':
        requests.push({ line: 'capabilities', reply: /^ok revert / });
        break;
      case 'execute':
        add('print_execute_command', /^ok \S+,exec,\S+$/);
        break;
      case 'status':
        add(`command sh,-c,exit%20${one.status}`, `ok ${Math.min(one.status, 253)}`);
        break;
      case 'late':
        add('command sleep,60 timeout=0.1', 'timeout');
        break;
      case 'daemon':
        add(shell('sleep 60 & setsid sleep 60 >/dev/null 2>&1 & exit 7'), 'ok 7');
        break;
      case 'many':
        add(
          `command true,${Array.from({ length: 20_000 }, (_, index) => `%2f${index}%C3%A9`).join(',')}`,
          'ok 0',
        );
        break;
      case 'write':
        if (one.name === 3) break;
        add(shell(`printf %s ${index} >${inside}`), 'ok 0');
        files.set(inside, Buffer.from(String(index)));
        break;
      case 'feed':
        if (one.name === 3) break;
        add(`${shell(`cat >${inside}`)} stdin=${host}`, 'ok 0', {
          needs: { path: host, content: one.content },
        });
        files.set(inside, one.content);
        break;
      case 'read': {
        const seen = files.get(inside);
        add(`${shell(`cat ${glob} 2>/dev/null`)} stdout=${host}`, seen === undefined ? 'ok 1' : 'ok 0', {
          made: { path: host, content: seen ?? Buffer.alloc(0) },
        });
        break;
      }
      case 'down':
        add(`copydown ${host} ${encode(inside)}`, 'ok', { needs: { path: host, content: one.content } });
        files.set(inside, one.content);
        break;
      case 'up': {
        const seen = files.get(inside);
        add(`copyup ${encode(inside)} ${host}`, seen === undefined ? 'copy-failed' : 'ok', {
          ...(seen === undefined ? {} : { made: { path: host, content: seen } }),
        });
        break;
      }
      case 'tree':
        add(`copydown ${host}/ /tmp/tree-${index}/`, 'ok', {
          needs: { path: join(host, 'sub/file'), content: one.content },
        });
        add(`copyup /tmp/tree-${index}/ ${host}-out/`, 'ok', {
          made: { path: join(`${host}-out`, 'sub/file'), content: one.content },
        });
        break;
      case 'quit':
        requests.push({ line: 'quit', reply: 'ok' });
        return requests;
      case 'misuse':
        requests.push({ line: one.line, reply: undefined });
        return requests;
    }
    if (requests.at(-1)?.reply === undefined) return requests;
  }
  return requests;
}
