/** Pieces of the page. All text becomes text nodes, which hast-util-to-html escapes. */
import type { Element } from 'hast';
import { h } from 'hastscript';
import { printable } from '../log.ts';

/** A long list is one piece: a call takes no more than some 100000 arguments. */
export type Piece = Element | string | null | readonly Piece[];

/** Text of a testbed: without characters that control a terminal or the direction of writing. */
export function shown(text: string): string {
  return printable(text.replaceAll('\r\n', '\n')).replaceAll(
    /[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    '\ufffd',
  );
}

type Attributes = Readonly<Record<string, string | boolean>>;

export function tag(name: string, attributes: Attributes, ...children: readonly Piece[]): Element {
  return h(name, { ...attributes }, flat(children));
}

export function element(name: string, classes: string, ...children: readonly Piece[]): Element {
  return tag(name, classes === '' ? {} : { class: classes }, ...children);
}

function flat(pieces: readonly Piece[]): (Element | string)[] {
  return pieces.flatMap((piece) => {
    if (piece === null) return [];
    return isList(piece) ? flat(piece) : [piece];
  });
}

function isList(piece: Element | string | readonly Piece[]): piece is readonly Piece[] {
  return Array.isArray(piece);
}

export function code(text: string): Element {
  return element('code', '', shown(text));
}

export function section(id: string, heading: string, ...children: readonly Piece[]): Element {
  return tag('section', { id }, element('h2', '', heading), ...children);
}

export interface Column {
  readonly name: string;
  readonly classes?: string;
}

export function table(columns: readonly Column[], rows: readonly (readonly Piece[])[]): Element {
  const cells = (row: readonly Piece[], name: 'th' | 'td') =>
    element('tr', '', ...row.map((cell, index) => element(name, columns[index]?.classes ?? '', cell)));
  const heads = columns.map((column) => column.name);
  return element(
    'div',
    'wide',
    element(
      'table',
      '',
      heads.every((head) => head === '') ? null : element('thead', '', cells(heads, 'th')),
      element(
        'tbody',
        '',
        rows.map((row) => cells(row, 'td')),
      ),
    ),
  );
}

export function details(summary: Piece, open: boolean, ...children: readonly Piece[]): Element {
  return tag('details', { open }, element('summary', '', summary), ...children);
}

export function list(items: readonly Piece[]): Element {
  return element(
    'ul',
    'plain',
    items.map((item) => element('li', '', item)),
  );
}
