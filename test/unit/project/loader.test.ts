/** The program is loaded from the compiled form of its files (bin/loader.js) where that fits them and this Node.js, else from the files. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectDir } from '../../support/rootfs.ts';

/** Makes a file so long that it gets a compiled form. */
const LONG = `// ${'-'.repeat(20_000)}\n`;
const CLI = 'const e = require("./chunks/words.cjs");\nexports.main = e.main;\n';
const words = (text: string) =>
  `${LONG}exports.main = (argv) => console.log(${JSON.stringify(text)}, ...argv);\n`;

const withoutComments = (file: string) =>
  readFileSync(file, 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');

describe('the loader of the program', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-loader-'));
    cpSync(join(projectDir, 'bin'), join(folder, 'bin'), { recursive: true });
    mkdirSync(join(folder, 'dist/chunks'), { recursive: true });
    write('cli.cjs', CLI);
    write('chunks/words.cjs', words('as built'));
    node('bin/loader.js');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const write = (name: string, text: string) => writeFileSync(join(folder, 'dist', name), text);
  const node = (...argv: readonly string[]) =>
    execFileSync(process.execPath, argv, {
      cwd: folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  const run = (...options: readonly string[]) => node(...options, 'bin/virt-ts-unshare', 'a word');

  it('makes a compiled form of the files for which it is worth reading', () => {
    assert.deepEqual(readdirSync(join(folder, 'dist/chunks')).sort(), ['words.cjs', 'words.cjs.cache']);
    assert.equal(run(), 'as built a word\n');
  });

  it('executes the compiled form', () => {
    // Of the same length, which is all that V8 compares.
    write('chunks/words.cjs', words('as found'));
    assert.equal(run(), 'as built a word\n');
  });

  it('executes the file where nothing was compiled, as after npm install', () => {
    for (const name of ['cli.cjs', 'chunks/words.cjs']) rmSync(join(folder, 'dist', `${name}.cache`));
    write('chunks/words.cjs', words('as found'));
    assert.equal(run(), 'as found a word\n');
  });

  it('executes the file where V8 has other flags, or another file was compiled', () => {
    write('chunks/words.cjs', words('as found'));
    assert.equal(run('--no-opt'), 'as found a word\n');
    write('chunks/words.cjs', words('as changed'));
    assert.equal(run(), 'as changed a word\n');
  });

  it('executes the file where the compiled form is not of V8, or was truncated', () => {
    const cache = join(folder, 'dist/chunks/words.cjs.cache');
    const whole = readFileSync(cache);
    write('chunks/words.cjs', words('as found'));
    for (const bytes of [Buffer.alloc(0), Buffer.from('rubbish'), whole.subarray(0, whole.length / 2)]) {
      writeFileSync(cache, bytes);
      assert.equal(run(), 'as found a word\n');
    }
  });

  it('finds no import() in the files of the program, which fails in a compiled form', () => {
    const chunks = join(projectDir, 'dist/chunks');
    const dynamic = readdirSync(chunks).filter(
      (name) => name.endsWith('.cjs') && /[^\w.$]import\s*\(/.test(withoutComments(join(chunks, name))),
    );
    assert.deepEqual(dynamic, []);
  });

  it('names the remedy where nothing was built', () => {
    rmSync(join(folder, 'dist'), { recursive: true });
    assert.throws(run, {
      status: 2,
      stderr: /^virt-ts-unshare: not built yet; run: npm ci && npm run build \(in /,
    });
  });
});
