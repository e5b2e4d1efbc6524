// Bundles the program: a start-up file with what the first `ok` needs, one with what serving needs, and the rest split off and
// loaded when needed. Few files, because each one that is imported costs the start half a millisecond.
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { rolldown } from 'rolldown';

rmSync('dist', { recursive: true, force: true });
const bundle = await rolldown({
  input: { cli: 'src/cli.ts', index: 'src/index.ts' },
  platform: 'node',
  transform: { target: 'node20.19' },
});
await bundle.write({
  dir: 'dist',
  format: 'esm',
  entryFileNames: '[name].js',
  chunkFileNames: 'chunks/[name]-[hash].js',
  // What is parsed at a start is waited for; names stay, for stack traces.
  minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
  codeSplitting: {
    // With all that they import.
    groups: [
      { name: 'start', priority: 2, test: /\/src\/cli\.ts$/ },
      { name: 'serve', priority: 1, test: /\/src\/(testbed\/provider|protocol\/server)\.ts$/ },
    ],
  },
});
await bundle.close();

// The library's types, of all that src/index.ts exports.
execFileSync('node_modules/.bin/tsc', ['-p', 'scripts/tsconfig.types.json'], { stdio: 'inherit' });
