/**
 * The tests of a package, as autopkgtest --debug reports them when it has read the control file. Other text of the log may come from
 * the package, so only what stands behind its last command counts.
 */
import { TestbedError } from '../errors.ts';
import { printable } from '../log.ts';

export interface DefinedTest {
  readonly name: string;
  readonly restrictions: readonly string[];
  /** In the words of a Depends field; undefined when they could not be read. */
  readonly depends: readonly string[] | undefined;
}

const DEFINED = /^\S+: DBG: Test defined: name (\S+) path (.*)$/;
const TEXT = `(?:'(?:[^'\\\\]|\\\\.)*'|"(?:[^"\\\\]|\\\\.)*")`;
const TEXTS = `\\[(?:${TEXT}(?:, )?)*\\]`;
/** The command before it is the package's, and may have any text. */
const DETAILS = new RegExp(`^.* restrictions (${TEXTS}) features ${TEXTS} depends (\\[.*\\]) $`);

/** The last command that runs before the control file is read for the last time: the built tree is copied to the host. */
const COPIED = /^\S+: DBG: sending command to [a-z ]+: copyup \S+ \S+\/tests-tree\/$/;

/** In their order; a name may occur several times. @throws TestbedError for a name that cannot be used */
export function definedTests(log: string): DefinedTest[] {
  const lines = log.split('\n');
  const from = lines.findLastIndex((line) => COPIED.test(line));
  return lines.slice(from + 1).flatMap((line) => {
    const [, name, rest = ''] = DEFINED.exec(line) ?? [];
    if (name === undefined) return [];
    checkName(name);
    const [, restrictions = '[]', depends = ''] = DETAILS.exec(rest) ?? [];
    return [
      {
        name,
        restrictions: (pythonList(restrictions) ?? []).flat(),
        depends: pythonList(depends)?.map((each) => (typeof each === 'string' ? each : each.join(' | '))),
      },
    ];
  });
}

/** Names become options of the driver and names of files. */
export function isTestName(name: string): boolean {
  return /^[^\s/\p{C}]+$/u.test(name) && Buffer.byteLength(name) <= 200;
}

function checkName(name: string): void {
  if (isTestName(name)) return;
  throw new TestbedError(`the package has a test with the name ${JSON.stringify(printable(name))}`, {
    code: 'WRONG_TEST_NAME',
    remedy: 'give it a name of at most 200 printable characters, without blanks and slashes',
  });
}

/** A list of strings, or of lists of strings, as Python prints it. */
export function pythonList(text: string): (string | string[])[] | undefined {
  const tokens = [...text.matchAll(new RegExp(`${TEXT}|[[\\],]|\\s+|.`, 'gs'))].map(([token]) => token);
  let at = 0;
  const skip = (): string | undefined => {
    while (tokens[at] === ',' || /^\s/.test(tokens[at] ?? '')) at += 1;
    return tokens[at];
  };
  const list = (depth: number): (string | string[])[] | undefined => {
    if (tokens[at] !== '[') return undefined;
    at += 1;
    const items: (string | string[])[] = [];
    for (let token = skip(); token !== ']'; token = skip()) {
      if (token === '[' && depth === 0) {
        const inner = list(1);
        if (inner === undefined) return undefined;
        items.push(inner.flat());
      } else if (token !== undefined && /^['"]./s.test(token)) {
        items.push(unquoted(token));
        at += 1;
      } else return undefined;
    }
    at += 1;
    return items;
  };
  const items = list(0);
  return at === tokens.length ? items : undefined;
}

function unquoted(token: string): string {
  return token.slice(1, -1).replaceAll(/\\(.)/gs, '$1');
}
