/** Lists the sentences that the program can print: errors with their remedies, and warnings. `npm run messages` */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAst } from 'rolldown/parseAst';

export interface Message {
  /** `src/errors.ts:12` */
  readonly place: string;
  /** Words in angle brackets differ. */
  readonly text: string;
  readonly remedy: string | undefined;
}

const project = fileURLToPath(new URL('../', import.meta.url));

/** Functions that make or report a sentence, which is their first text. */
const MAKERS =
  /^(\w*Error|wrongValue|notAllowed|badImage|refuse|fail|cannot\w*|warn|usageError|missing|onlyOne)$/;

export function listMessages(): Message[] {
  return [...filesIn('src', '.ts').flatMap(ofTypeScript), ...filesIn('helper', '.c').flatMap(ofC)];
}

function filesIn(folder: string, ending: string): string[] {
  return readdirSync(join(project, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name))
    .sort();
}

function ofTypeScript(path: string): Message[] {
  const source = readFileSync(join(project, path), 'utf8');
  const found: Message[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) for (const each of value) visit(each);
    if (!isNode(value)) return;
    if (value.type === 'CallExpression' || value.type === 'NewExpression') {
      const message = ofCall(value, source);
      if (message !== undefined) found.push({ place: `${path}:${lineOf(source, value.start)}`, ...message });
    }
    for (const member of Object.values(value)) visit(member);
  };
  visit(parseAst(source, { lang: 'ts' }));
  return found;
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [member: string]: unknown;
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

function nodesOf(value: unknown): Node[] {
  return Array.isArray(value) ? value.filter(isNode) : [];
}

function lineOf(source: string, offset: number): number {
  return source.slice(0, offset).split('\n').length;
}

function ofCall(call: Node, source: string): Omit<Message, 'place'> | undefined {
  const name = nameOf(call.callee);
  if (!MAKERS.test(name)) return undefined;
  const given = nodesOf(call.arguments);
  const texts = given.map((each) => textOf(each, source));
  const text = texts.find((each) => each?.includes(' '));
  if (text === undefined) return undefined;
  const facts = given.find(({ type }) => type === 'ObjectExpression');
  const remedy = nodesOf(facts?.properties).find((each) => nameOf(each.key) === 'remedy');
  const second = name === 'wrongValue' || name === 'notAllowed' ? texts.at(-1) : undefined;
  return { text, remedy: remedy === undefined ? second : textOf(remedy.value, source) };
}

function nameOf(node: unknown): string {
  if (!isNode(node)) return '';
  if (node.type === 'MemberExpression') return nameOf(node.property);
  return typeof node.name === 'string' ? node.name : '';
}

/** Of a text, a template, or a choice of texts. */
function textOf(node: unknown, source: string): string | undefined {
  if (!isNode(node)) return undefined;
  if (node.type === 'Literal' && typeof node.value === 'string') return node.value;
  if (node.type === 'TemplateLiteral') {
    const words = nodesOf(node.expressions).map(({ start, end }) => `<${source.slice(start, end)}>`);
    return nodesOf(node.quasis)
      .map(({ value }, index) => `${cooked(value)}${words[index] ?? ''}`)
      .join('');
  }
  if (node.type === 'ConditionalExpression') {
    const texts = [node.consequent, node.alternate].flatMap((each) => textOf(each, source) ?? []);
    return texts.length === 0 ? undefined : texts.join(' | ');
  }
  return undefined;
}

function cooked(value: unknown): string {
  return typeof value === 'object' && value !== null && 'cooked' in value ? String(value.cooked) : '';
}

/** Sentences are the texts with spaces in calls of the functions that report a failure. */
function ofC(path: string): Message[] {
  const lines = readFileSync(join(project, path), 'utf8').split('\n');
  return lines.flatMap((line, index) => {
    if (!/\b(fail\w*|die|dprintf|report_\w+)\(/.test(line)) return [];
    const texts = [...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, text = '']) => text);
    return texts
      .filter((text) => text.includes(' '))
      .map((text) => ({ place: `${path}:${index + 1}`, text, remedy: undefined }));
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const { place, text, remedy } of listMessages()) {
    process.stdout.write(`${place}\n  ${text}${remedy === undefined ? '' : `\n  → ${remedy}`}\n`);
  }
}
