/** Random trees with everything that a copy has to keep, and what one can see of a tree. */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeSync,
} from 'node:fs';

const SLASH = Buffer.from('/');
const NAMES = [
  'plain',
  'with space',
  'new\nline',
  '\n',
  ' ',
  "it's",
  '"double"',
  '-rf',
  '--help',
  '100%',
  '%s%n',
  '%41',
  '$(id)',
  '`id`',
  '*',
  'back\\slash',
  '\\0101',
  'tab\there',
  'größe',
  '文件',
  '.hidden',
  '...',
  '~',
  'x'.repeat(100),
  'y'.repeat(101),
  'z'.repeat(255),
].map((name) => Buffer.from(name));
const NOT_UTF8 = [
  Buffer.from([0xff, 0xfe]),
  Buffer.from('caf\xe9', 'latin1'),
  Buffer.from([0x61, 0x80, 0x0a, 0xc3]),
];

export function under(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, SLASH, name]);
}

type Random = () => number;

export function makeRandomTree(root: Buffer, random: Random): void {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const files: Buffer[] = [];
  const made: { path: Buffer; directory: boolean; link: boolean }[] = [];
  const isRoot = process.getuid?.() === 0;
  const mode = (needed: number): number => Math.floor(random() * 0o1000) | (isRoot ? 0 : needed);
  const fill = (directory: Buffer, depth: number): void => {
    made.push({ path: directory, directory: true, link: false });
    const count = Math.floor(random() * (depth === 0 ? 12 : 5));
    for (let i = 0; i < count; i += 1) {
      const stem = random() < 0.2 ? pick(NOT_UTF8) : pick(NAMES);
      const name = random() < 0.5 ? stem : Buffer.concat([stem.subarray(0, 250), Buffer.from(String(i))]);
      const path = under(directory, name);
      if (exists(path) || path.length > 3000) continue;
      const what = random();
      if (what < 0.3 && depth < 6) {
        mkdirSync(path);
        fill(path, depth + 1);
      } else if (what < 0.45) {
        const target =
          random() < 0.3
            ? pick(NOT_UTF8)
            : Buffer.from(pick(['/etc/passwd', '../../x', 'gone', './', 'l'.repeat(300)]));
        symlinkSync(target, path);
        made.push({ path, directory: false, link: true });
      } else if (what < 0.55 && files.length > 0) {
        linkSync(pick(files), path);
      } else {
        writeFile(path, random);
        files.push(path);
        made.push({ path, directory: false, link: false });
      }
    }
  };
  mkdirSync(root);
  fill(root, 0);
  // Deepest first: a time or mode of a directory is set when nothing in it is touched any more.
  for (const { path, directory, link } of made.reverse()) {
    if (!link)
      chmodSync(path, mode(directory ? 0o500 : 0o400) | (directory ? Math.floor(random() * 4) << 9 : 0));
    // Those left alone have the nanoseconds of their making.
    if (random() < 0.4) lutimesSync(path, 1, pick([0, 1, 1e9 + random(), 4e9, 12345678901]));
  }
}

function writeFile(path: Buffer, random: Random): void {
  const file = openSync(path, 'wx');
  try {
    const what = random();
    if (what < 0.2) return;
    if (what < 0.4) {
      // Sparse: some data in a large hole, perhaps a hole at the end, perhaps nothing else.
      const size = Math.floor(random() * 4e6);
      ftruncateSync(file, size);
      for (let i = Math.floor(random() * 4); i > 0; i -= 1) {
        writeSync(
          file,
          Buffer.alloc(Math.floor(random() * 9000), 'data'),
          0,
          undefined,
          Math.floor(random() * size),
        );
      }
      return;
    }
    const exponent = random() * 17;
    writeSync(file, Buffer.alloc(Math.floor(2 ** exponent), `${random()}`));
  } finally {
    closeSync(file);
  }
}

function exists(path: Buffer): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** One line for each file: kind, mode, owner, time in ns, size, content or target, and which other name is the same file. */
export function describeTree(root: Buffer): string[] {
  const lines: string[] = [];
  const firstNames = new Map<bigint, string>();
  const visit = (path: Buffer, name: Buffer): void => {
    const stat = lstatSync(path, { bigint: true });
    const shown = name.toString('latin1');
    const first = firstNames.get(stat.ino) ?? shown;
    firstNames.set(stat.ino, first);
    const content = stat.isSymbolicLink()
      ? readlinkSync(path, { encoding: 'buffer' }).toString('latin1')
      : stat.isFile()
        ? createHash('sha256').update(readFileSync(path)).digest('hex')
        : '';
    const size = stat.isDirectory() ? '' : stat.size;
    lines.push(
      JSON.stringify([
        shown,
        stat.mode.toString(8),
        `${stat.uid}:${stat.gid}`,
        `${stat.mtimeNs}`,
        `${size}`,
        content,
        first,
      ]),
    );
    if (!stat.isDirectory()) return;
    const names = readdirSync(path, { encoding: 'buffer' }).sort(Buffer.compare);
    for (const below of names) visit(under(path, below), under(name, below));
  };
  visit(root, Buffer.from('.'));
  return lines;
}

/** Bytes on disk, of sparse files less than their size. */
export function diskUse(root: Buffer): number {
  const stat = lstatSync(root);
  let sum = stat.isFile() ? stat.blocks * 512 : 0;
  if (stat.isDirectory()) {
    for (const name of readdirSync(root, { encoding: 'buffer' })) sum += diskUse(under(root, name));
  }
  return sum;
}
