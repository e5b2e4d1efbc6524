// Bundles the program: one start-up file with what the first `ok` needs, the rest split off and loaded when needed.
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { build } from 'esbuild';

rmSync('dist', { recursive: true, force: true });
await build({
  entryPoints: ['src/cli.ts', 'src/index.ts'],
  outdir: 'dist',
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  // What is parsed at a start is waited for; names stay, for stack traces.
  minifySyntax: true,
  minifyWhitespace: true,
  chunkNames: 'chunks/[name]-[hash]',
  banner: {
    // Bundled CommonJS packages ask for require(); an ES module has none of its own.
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
  logLevel: 'warning',
});

// The library's types, of all that src/index.ts exports.
execFileSync('node_modules/.bin/tsc', ['-p', 'scripts/tsconfig.types.json'], { stdio: 'inherit' });
