// Bundles the program and the library: a file with what the first `ok` needs, one with what serving needs, and the rest in files
// that are loaded when needed. Few files, because each imported one takes half a millisecond; and CommonJS for the program, because
// Node's loader of ES modules takes 5 ms to start.
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { rolldown } from 'rolldown';

/** @param groups of modules that become one file each, with their imports; the first one that fits is used */
async function bundle(name, format, extension, groups) {
  const made = await rolldown({
    input: { [name]: `src/${name}.ts` },
    platform: 'node',
    transform: { target: 'node20.19' },
    // One verb may need a module at its start that another one loads later.
    checks: { ineffectiveDynamicImport: false },
  });
  await made.write({
    dir: 'dist',
    format,
    entryFileNames: `[name].${extension}`,
    chunkFileNames: `chunks/[name]-[hash].${extension}`,
    // Names stay, for stack traces.
    minify: {
      compress: true,
      mangle: { toplevel: true, keepNames: true },
      codegen: { removeWhitespace: true },
    },
    codeSplitting: {
      groups: groups.map(([name, test], index) => ({ name, test, priority: groups.length - index })),
    },
  });
  await made.close();
}

/** Static, because loading libraries takes longer than most sub-commands. */
function compileHelper() {
  const sources = readdirSync('helper')
    .filter((name) => name.endsWith('.c'))
    .map((name) => `helper/${name}`);
  const options = [
    '-std=c17',
    '-O2',
    '-static',
    '-pthread',
    '-Wall',
    '-Wextra',
    '-Wpedantic',
    '-Wconversion',
  ];
  const words = [...options, '-o', `dist/helper-${process.arch}`, ...sources];
  const { status, error, stderr } = spawnSync(process.env.CC ?? 'cc', words, { encoding: 'utf8' });
  if (stderr) console.error(stderr.trim());
  if (status === 0) return;
  const why = error === undefined ? `the compiler ended with status ${status}` : error.message;
  throw new Error(`cannot compile helper/*.c: ${why}; install gcc and libc6-dev`, { cause: error });
}

rmSync('dist', { recursive: true, force: true });
const serve = ['serve', /\/src\/(testbed\/provider|protocol\/server)\.ts$/];
const hold = ['hold', /\/src\/testbed\/holding\.ts$/];
await bundle('cli', 'cjs', 'cjs', [['start', /\/src\/cli\.ts$/], hold, serve]);
await bundle('index', 'esm', 'js', [hold, serve]);

compileHelper();

execFileSync('node_modules/.bin/tsc', ['-p', 'scripts/tsconfig.types.json'], { stdio: 'inherit' });

execFileSync(process.execPath, ['--import', 'tsx', 'scripts/write-pages.ts'], { stdio: 'inherit' });
