import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

type ScriptFolder = 'in-testbed' | 'network';

const texts = new Map<string, string>();

/** The directory of package.json, from src/scripts.ts and from the bundle below dist. */
export function packageRoot(): string {
  // As a path where possible: fileURLToPath loads code that takes a millisecond.
  const here = typeof __filename === 'string' ? __filename : fileURLToPath(import.meta.url);
  const at = Math.max(here.lastIndexOf('/src/'), here.lastIndexOf('/dist/'));
  return here.slice(0, at);
}

function scriptPath(folder: ScriptFolder, name: string): string {
  return `${packageRoot()}/src/${folder}/${name}`;
}

/** For `sh -c`, because root of the testbed may not be able to read the package's files. */
export function scriptText(folder: ScriptFolder, name: string): string {
  const path = scriptPath(folder, name);
  let text = texts.get(path);
  if (text === undefined) {
    text = readFileSync(path, 'utf8');
    texts.set(path, text);
  }
  return text;
}
