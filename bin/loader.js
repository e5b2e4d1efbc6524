// Loads the built program, dist/cli.cjs and the files that it requires, with the code that V8 made of them when it was built
// (FILE.cache): compiling takes a fifth of the time until the first testbed is open. Node.js has this from version 22 on. V8 checks
// that a cache is of the same version of V8 and of the same flags; else it compiles the file as usual. `node bin/loader.js` makes the
// caches. Where there are none, as in the package of npm, Node's own loader does all.
const { existsSync, readFileSync, writeFileSync } = require('node:fs');
const { dirname, resolve } = require('node:path');
const { Script } = require('node:vm');

const CLI = resolve(__dirname, '../dist/cli.cjs');

/** Bytes. A smaller file is compiled sooner than its cache is read. */
const LEAST = 10_000;

const modules = new Map();

function readCache(file) {
  try {
    return readFileSync(`${file}.cache`);
  } catch {
    return undefined;
  }
}

function compile(file, cachedData) {
  const source = readFileSync(file, 'utf8');
  return new Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
    filename: file,
    cachedData,
  });
}

function load(file) {
  const known = modules.get(file);
  if (known !== undefined) return known.exports;
  const module = { exports: {} };
  modules.set(file, module);
  const requireFrom = (name) => (name.startsWith('.') ? load(resolve(dirname(file), name)) : require(name));
  try {
    const run = compile(file, readCache(file)).runInThisContext();
    run.call(module.exports, module.exports, requireFrom, module, file, dirname(file));
  } catch (error) {
    modules.delete(file);
    throw error;
  }
  return module.exports;
}

function loadProgram() {
  return existsSync(`${CLI}.cache`) ? load(CLI) : require(CLI);
}

/** dist/cli.cjs and all files that it requires, now or later. */
function filesOf(file, found = new Set()) {
  if (found.has(file)) return found;
  found.add(file);
  for (const [, name] of readFileSync(file, 'utf8').matchAll(/\brequire\("(\.[^"]+)"\)/g))
    filesOf(resolve(dirname(file), name), found);
  return found;
}

function makeCaches() {
  const { setFlagsFromString } = require('node:v8');
  for (const file of filesOf(CLI)) {
    if (file !== CLI && readFileSync(file).length < LEAST) continue;
    // All functions, also those that are not called at once. The flag counts when the cache is used, so it is set back before.
    setFlagsFromString('--no-lazy');
    const script = compile(file);
    setFlagsFromString('--lazy');
    writeFileSync(`${file}.cache`, script.createCachedData());
  }
}

module.exports = { CLI, loadProgram };
if (require.main === module) makeCaches();
