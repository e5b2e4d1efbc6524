/**
 * Random shell programs, each with the bytes, the status and the processes that it must leave. A source writes characters of an
 * alphabet of its own, so that the bytes of each source can be picked out of an output that several wrote at the same time.
 */
import fc from 'fast-check';

/** Digits and the newline of seq(1). */
const ALPHABET_SIZE = 11;
/** As many as there are alphabets without the byte 0. */
const MOST_SOURCES = 23;

/** What passes output on: reads stdin to its end and writes it. `%` is a new file, which gets a copy. */
const RELAYS = [
  'cat',
  'tee %',
  'tee % | cat',
  'tee -a % | tee %',
  'dd bs=100 2>/dev/null',
  'sh -c cat',
  '{ sleep 0.03; cat; }',
  'cat | cat | cat',
  '( cat )',
  'tr x x',
] as const;

/** A process that stays. It holds the outputs that it was started with. */
const DAEMONS = [
  'sleep @ &',
  'setsid sleep @ &',
  '( sleep @ & )',
  '( ( sleep @ & ) & )',
  '(trap "" HUP INT QUIT TERM; sleep @; sleep @) &',
  'setsid sh -c "sleep @; :" &',
  '{ sleep @ & kill -STOP $!; }',
] as const;
const REDIRECTED = [
  'sleep @ >/dev/null 2>&1 </dev/null &',
  'setsid sleep @ </dev/null >/dev/null 2>&1 &',
  '(trap "" HUP; exec sleep @ <&- >/dev/null 2>/dev/null) </dev/null &',
] as const;

const SIGNALS = { HUP: 1, ABRT: 6, KILL: 9, USR1: 10, SEGV: 11, TERM: 15 } as const;

type Fd = 1 | 2;

export type Node =
  | { readonly kind: 'write'; readonly fd: Fd; readonly count: number; readonly builtin: boolean }
  | { readonly kind: 'sequence'; readonly parts: readonly Node[] }
  | { readonly kind: 'group' | 'subshell' | 'waited'; readonly body: Node }
  | { readonly kind: 'parallel'; readonly first: Node; readonly second: Node }
  | { readonly kind: 'file'; readonly fd: Fd; readonly body: Node }
  | { readonly kind: 'swap' | 'join' | 'substitution'; readonly body: Node }
  | { readonly kind: 'pipe'; readonly both: boolean; readonly relay: number; readonly body: Node }
  | { readonly kind: 'fifo' | 'process'; readonly fd: Fd; readonly relay: number; readonly body: Node }
  | { readonly kind: 'coproc'; readonly relay: number; readonly body: Node }
  | { readonly kind: 'daemon'; readonly which: number; readonly redirected: boolean };

export interface Program {
  /** Redirections of the shell itself, before all else. */
  readonly prologue: readonly { readonly fd: Fd; readonly relay: number; readonly process: boolean }[];
  readonly body: Node;
  readonly end:
    | { readonly kind: 'exit' | 'exec' | 'last'; readonly status: number }
    | { readonly kind: 'signal'; readonly name: keyof typeof SIGNALS };
}

const fd = fc.constantFrom<Fd>(1, 1, 2);
const relay = fc.nat({ max: RELAYS.length - 1 });
const count = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 20 }) },
  { weight: 2, arbitrary: fc.integer({ min: 100, max: 3000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 10_000, max: 40_000 }) },
);

const { node } = fc.letrec<{ node: Node; leaf: Node }>((tie) => {
  const body = tie('node');
  const k = <K extends string>(...kinds: K[]) => fc.constantFrom(...kinds);
  return {
    leaf: fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: k('write'), fd, count, builtin: fc.boolean() }) },
      {
        weight: 1,
        arbitrary: fc.record({ kind: k('daemon'), which: fc.nat({ max: 20 }), redirected: fc.boolean() }),
      },
    ),
    node: fc.oneof(
      { maxDepth: 4, depthSize: 'small', withCrossShrink: true },
      { weight: 3, arbitrary: tie('leaf') },
      {
        weight: 3,
        arbitrary: fc.record({ kind: k('sequence'), parts: fc.array(body, { minLength: 1, maxLength: 4 }) }),
      },
      { weight: 2, arbitrary: fc.record({ kind: k('group', 'subshell', 'waited'), body }) },
      { weight: 1, arbitrary: fc.record({ kind: k('parallel'), first: body, second: body }) },
      { weight: 1, arbitrary: fc.record({ kind: k('file'), fd, body }) },
      { weight: 1, arbitrary: fc.record({ kind: k('swap', 'join', 'substitution'), body }) },
      { weight: 2, arbitrary: fc.record({ kind: k('pipe'), both: fc.boolean(), relay, body }) },
      { weight: 4, arbitrary: fc.record({ kind: k('fifo', 'process'), fd, relay, body }) },
      { weight: 1, arbitrary: fc.record({ kind: k('coproc'), relay, body }) },
    ),
  };
});

export const programs: fc.Arbitrary<Program> = fc.record({
  prologue: fc.array(fc.record({ fd, relay, process: fc.boolean() }), { maxLength: 2 }),
  body: node,
  end: fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constantFrom('exit' as const, 'exec' as const, 'last' as const),
        status: fc.integer({ min: 0, max: 253 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('signal' as const),
        name: fc.constantFrom(...(Object.keys(SIGNALS) as (keyof typeof SIGNALS)[])),
      }),
    },
  ),
});

type Sink = string;
/** Where an output goes: to `stdout`, `stderr` and files. */
interface Way {
  readonly sinks: readonly Sink[];
  /** Whether a process that has it is waited for, or ended, at the end of the command. */
  readonly held: boolean;
}
interface Context {
  readonly out: Way;
  readonly err: Way;
  /** A process that holds `out` or `err` would keep the shell itself waiting. */
  readonly piped: boolean;
  /** Processes inherit descriptors of bash that hold an output. */
  readonly extra: boolean;
}

export interface Compiled {
  /** For sh -c SCRIPT program FOLDER. */
  readonly script: string;
  readonly status: number;
  /** For each of stdout, stderr and the files: the texts of the sources, as latin1. */
  readonly texts: ReadonlyMap<Sink, readonly string[]>;
  /** Files that get more bytes, by processes for which the command need not wait. */
  readonly uncertain: ReadonlySet<Sink>;
  /** Arguments of the processes `sleep` that must be left. */
  readonly alive: readonly number[];
}

function alphabet(source: number): number[] {
  return Array.from({ length: ALPHABET_SIZE }, (_, index) => 1 + source * ALPHABET_SIZE + index);
}

const octal = (byte: number) => `\\${byte.toString(8).padStart(3, '0')}`;

/** The bytes of an alphabet in a text, in their order. */
export function bytesOf(text: string, source: string): string {
  const first = alphabetOf(source);
  return [...text].filter((character) => alphabetOf(character) === first).join('');
}

function alphabetOf(text: string): number {
  return Math.floor((text.charCodeAt(0) - 1) / ALPHABET_SIZE);
}

let nextSleep = 10_000;

export function compile(program: Program, shell: 'dash' | 'bash' | 'busybox'): Compiled {
  const bash = shell === 'bash';
  let [sources, files, names] = [0, 0, 0];
  const texts = new Map<Sink, string[]>([
    ['stdout', []],
    ['stderr', []],
  ]);
  const alive: number[] = [];
  const uncertain = new Set<Sink>();

  const write = ({ fd, count, builtin }: Node & { kind: 'write' }, context: Context): string => {
    if (sources === MOST_SOURCES) return ':';
    const bytes = alphabet(sources);
    sources += 1;
    const short = builtin && count <= 20;
    const digits = Array.from({ length: count }, (_, index) => `${index + 1}\n`).join('');
    const text = [...digits]
      .map((digit) => String.fromCharCode(bytes['0123456789\n'.indexOf(digit)] ?? 0))
      .join('');
    for (const sink of (fd === 1 ? context.out : context.err).sinks) texts.get(sink)?.push(text);
    const to = fd === 2 ? ' >&2' : '';
    if (short)
      return `printf %b '${[...text].map((character) => octal(character.charCodeAt(0)).replace('\\', '\\0')).join('')}'${to}`;
    return `seq ${count} | tr '0-9\\n' '${bytes.map(octal).join('')}'${to}`;
  };

  const file = (isCertain: boolean): { readonly path: string; readonly sinks: readonly Sink[] } => {
    files += 1;
    const name = `f${files}`;
    if (isCertain) texts.set(name, []);
    return { path: `"$1/${name}"`, sinks: isCertain ? [name] : [] };
  };

  /** A relay's words, and where it writes. Waited for: by the shell, or because it holds an output. */
  const relayTo = (
    which: number,
    out: Way,
    isCertain: boolean,
  ): { readonly words: string; readonly way: Way } => {
    const sinks = isCertain ? [...out.sinks] : [];
    if (!isCertain) for (const sink of out.sinks) uncertain.add(sink);
    const words = (RELAYS[which] ?? 'cat').replaceAll('%', () => {
      const made = file(isCertain);
      sinks.push(...made.sinks);
      return made.path;
    });
    return { words, way: { sinks, held: isCertain } };
  };

  /** Whether a relay for a descriptor, in the background, is waited for at the end: its stdout and stderr are those of `fd` and 2. */
  const isWaitedFor = (fd: Fd, { out, err }: Context) => err.held || (fd === 1 && out.held);

  const daemon = ({ which, redirected }: Node & { kind: 'daemon' }, context: Context): string => {
    const number = nextSleep;
    nextSleep += 1;
    const put = (list: readonly string[]) =>
      (list[which % list.length] ?? ':').replaceAll('@', String(number));
    if (redirected) {
      if (context.extra) return ':';
      alive.push(number);
      // bash keeps the pipe of a process substitution open while that runs, for further children too.
      return bash ? `{ ${put(REDIRECTED)}\n} 60>&- 61>&- 62>&- 63>&-` : put(REDIRECTED);
    }
    return context.piped || !(context.out.held && context.err.held) ? ':' : put(DAEMONS);
  };

  // busybox loses the inner one of two redirections of a descriptor where both are of groups.
  const [begin, finish] = shell === 'busybox' ? '()' : '{}';
  const block = (node: Node, context: Context): string => {
    const text = emit(node, context);
    // dash takes a group of nothing but a subshell as that subshell, which has the last one of several redirections.
    const more = shell === 'dash' && text.startsWith('(') ? '\n:' : '';
    return `${begin} ${text}${more}\n${finish}`;
  };

  const redirected = (fd: Fd, context: Context, way: Way, changes: Partial<Context> = {}): Context => ({
    ...context,
    ...(fd === 1 ? { out: way } : { err: way }),
    ...changes,
  });

  const emit = (node: Node, context: Context): string => {
    switch (node.kind) {
      case 'write':
        return write(node, context);
      case 'sequence':
        return node.parts.map((part) => emit(part, context)).join('\n');
      case 'group':
        return block(node.body, context);
      case 'subshell':
        return `( ${emit(node.body, context)}\n)`;
      case 'waited': {
        names += 1;
        const name = `w${names}`;
        return `${block(node.body, context)} & ${name}=$!\nwait $${name}`;
      }
      case 'parallel': {
        names += 1;
        const name = `w${names}`;
        const first = block(node.first, context);
        return `${first} & ${name}=$!\n${block(node.second, context)}\nwait $${name}`;
      }
      case 'file': {
        const made = file(true);
        const way = { sinks: made.sinks, held: false };
        return `${block(node.body, redirected(node.fd, context, way))} ${node.fd}>${made.path}`;
      }
      case 'swap': {
        const swapped = { ...context, out: context.err, err: context.out };
        return `${block(node.body, swapped)} 3>&1 1>&2 2>&3 3>&-`;
      }
      case 'join':
        return `${block(node.body, { ...context, err: context.out })} 2>&1`;
      case 'substitution': {
        // The shell reads all of it, and the bytes that it changes (newlines at the end, NUL) are not written by a source.
        // There bash leaves the descriptor of a process substitution open as long as its process runs.
        const inner = { ...context, out: { sinks: [], held: false }, piped: true, extra: bash };
        return `: "$( ${emit(node.body, inner)}\n)"`;
      }
      case 'pipe': {
        const { words, way } = relayTo(node.relay, context.out, true);
        const inside = { ...context, out: way, ...(node.both ? { err: way } : {}), piped: true };
        return `${block(node.body, inside)}${node.both ? ' 2>&1' : ''} | ${words}`;
      }
      case 'fifo': {
        names += 1;
        const path = `"$1/p${names}"`;
        const target = node.fd === 1 ? context.out : context.err;
        const { words, way } = relayTo(node.relay, target, isWaitedFor(node.fd, context));
        const inside = redirected(node.fd, context, way);
        const to = node.fd === 2 ? ' >&2' : '';
        return `mkfifo ${path}\n{ ${words}\n} <${path}${to} &\n${block(node.body, inside)} ${node.fd}>${path}`;
      }
      case 'process': {
        if (!bash) return emit({ ...node, kind: 'fifo' }, context);
        const target = node.fd === 1 ? context.out : context.err;
        const { words, way } = relayTo(node.relay, target, isWaitedFor(node.fd, context));
        const inside = redirected(node.fd, context, way, { extra: true });
        return `${block(node.body, inside)} ${node.fd}> >({ ${words}\n}${node.fd === 2 ? ' >&2' : ''})`;
      }
      case 'coproc': {
        if (!bash) return emit({ ...node, kind: 'fifo', fd: 1 }, context);
        names += 1;
        const name = `C${names}`;
        const { words, way } = relayTo(node.relay, context.out, isWaitedFor(1, context));
        const inside = redirected(1, context, way, { extra: true });
        // In a subshell, because a shell has one coprocess at a time.
        return `( { coproc ${name} { ${words}\n} >&3; } 3>&1\n${block(node.body, inside)} >&"\${${name}[1]}"\n)`;
      }
      case 'daemon':
        return daemon(node, context);
    }
  };

  let context: Context = {
    out: { sinks: ['stdout'], held: true },
    err: { sinks: ['stderr'], held: true },
    piped: false,
    extra: false,
  };
  const lines: string[] = [];
  for (const { fd, relay, process } of program.prologue) {
    const { words, way } = relayTo(relay, fd === 1 ? context.out : context.err, true);
    const to = fd === 2 ? ' >&2' : '';
    if (process && bash) lines.push(`exec ${fd}> >({ ${words}\n}${to})`);
    else {
      names += 1;
      const path = `"$1/p${names}"`;
      lines.push(`mkfifo ${path}`, `{ ${words}\n} <${path}${to} &`, `exec ${fd}>${path}`);
    }
    context = redirected(fd, context, way, { extra: context.extra || (process && bash) });
  }
  lines.push(emit(program.body, context));
  const { end } = program;
  if (end.kind === 'signal') lines.push(`kill -${end.name} $$`);
  else if (end.kind === 'exit') lines.push(`exit ${end.status}`);
  else if (end.kind === 'exec') lines.push(`exec sh -c 'exit ${end.status}'`);
  else lines.push(`(exit ${end.status})`);
  const status = end.kind === 'signal' ? 128 + SIGNALS[end.name] : end.status;
  return { script: lines.join('\n'), status, texts, uncertain, alive };
}
