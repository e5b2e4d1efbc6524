// Bundles the program and the library: a file with what the first `ok` needs, one with what serving needs, and the rest in files
// that are loaded when needed. Few files, because each imported one takes half a millisecond; and CommonJS, because Node's loader
// of ES modules takes 5 ms to start. With --if-missing it builds only what was never built: npm does so after installing.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

/** @param groups of modules that become one file each, with their imports; the first one that fits is used */
async function bundle(name, groups) {
  const { rolldown } = await import('rolldown');
  const made = await rolldown({
    input: { [name]: `src/${name}.ts` },
    platform: 'node',
    transform: { target: 'node20.19' },
    // One verb may need a module at its start that another one loads later.
    checks: { ineffectiveDynamicImport: false },
    // What is not bundled would be missing where the program is installed.
    onLog(level, log, otherwise) {
      otherwise(log.code === 'UNRESOLVED_IMPORT' ? 'error' : level, log);
    },
  });
  const { output } = await made.write({
    dir: 'dist',
    format: 'cjs',
    entryFileNames: '[name].cjs',
    chunkFileNames: 'chunks/[name]-[hash].cjs',
    // A compiled form (bin/loader.js) cannot have import().
    dynamicImportInCjs: false,
    // Only for scripts/coverage: they are larger than the program.
    sourcemap: process.env.BUILD_SOURCE_MAPS === '1',
    // Names and lines stay, for stack traces: Node.js shows the line of an error that is not caught.
    minify: {
      compress: true,
      mangle: { toplevel: true, keepNames: true },
      codegen: { removeWhitespace: false },
    },
    codeSplitting: {
      groups: groups.map(([name, test], index) => ({ name, test, priority: groups.length - index })),
    },
  });
  await made.close();
  for (const { moduleIds = [] } of output) {
    for (const id of moduleIds) bundled.add(/^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0]);
  }
}

/** Directories of the packages in the bundles. */
const bundled = new Set();

/** Their licences want to go with every copy. */
function writeLicences() {
  bundled.delete(undefined);
  const texts = [...bundled].sort().map((directory) => {
    const { name, version, license } = JSON.parse(readFileSync(`${directory}/package.json`, 'utf8'));
    const file = readdirSync(directory).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file === undefined ? '' : readFileSync(`${directory}/${file}`, 'utf8');
    return `## ${name} ${version} (${license})\n\n${text.trim()}\n`;
  });
  writeFileSync('dist/third-party.txt', texts.join('\n'));
}

/** ES modules get the same classes and the same open testbeds as CommonJS: dist/index.js imports dist/index.cjs. */
function wrapLibrary() {
  const names = Object.keys(createRequire(import.meta.url)(resolve('dist/index.cjs')));
  const lines = ["import library from './index.cjs';", `export const { ${names.join(', ')} } = library;`, ''];
  writeFileSync('dist/index.js', lines.join('\n'));
}

/** Types for CommonJS; those for ES modules export the same ones again. */
function writeTypes() {
  execFileSync('node_modules/.bin/tsc', ['-p', 'scripts/tsconfig.types.json'], { stdio: 'inherit' });
  writeFileSync('dist/types/package.json', '{ "type": "commonjs" }\n');
  writeFileSync('dist/index.d.ts', "export * from './types/index.js';\n");
}

function compileHelper() {
  const { status, error, stderr } = spawnSync('helper/compile', [`dist/helper-${process.arch}`], {
    encoding: 'utf8',
  });
  if (stderr) console.error(stderr.trim());
  if (status === 0) return;
  const why = error === undefined ? `the compiler ended with status ${status}` : error.message;
  throw new Error(`cannot compile helper/*.c: ${why}; install gcc and libc6-dev`, { cause: error });
}

/** For `npm pack` in a clone, and `npm install --global git+URL`, where npm has the option --global for its own calls too. */
function installPackages() {
  const { npm_config_global, npm_config_prefix, ...env } = process.env;
  const argv = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  execFileSync('npm', argv, { stdio: ['ignore', 2, 2], env: { ...env, npm_config_location: 'project' } });
}

async function build() {
  if (!existsSync('node_modules/rolldown')) installPackages();
  rmSync('dist', { recursive: true, force: true });
  const serve = ['serve', /\/src\/(testbed\/provider|protocol\/server)\.ts$/];
  const hold = ['hold', /\/src\/testbed\/holding\.ts$/];
  await bundle('cli', [['start', /\/src\/cli\.ts$/], hold, serve]);
  await bundle('index', [hold, serve]);
  // They fit this Node.js only, so no package has them. Coverage needs what is compiled from the source.
  if (process.env.BUILD_SOURCE_MAPS !== '1') execFileSync(process.execPath, ['bin/loader.js']);
  wrapLibrary();
  writeLicences();
  compileHelper();
  writeTypes();
  execFileSync(process.execPath, ['--import', 'tsx', 'scripts/write-pages.ts'], { stdio: 'inherit' });
}

/**
 * `npm install --global git+URL` prepares its clone by an `npm install` that is global too, so it puts a link to the clone where the
 * package is unpacked next; the package would be lost with the clone.
 */
function removeLinkToClone() {
  const { npm_config_global, npm_config_global_prefix } = process.env;
  if (npm_config_global !== 'true') return;
  const link = `${npm_config_global_prefix}/lib/node_modules/virt-ts-unshare`;
  if (lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink() && realpathSync(link) === process.cwd()) {
    rmSync(link);
    mkdirSync(link);
  }
}

if (!process.argv.includes('--if-missing') || !existsSync('dist/cli.cjs')) await build();
else removeLinkToClone();
