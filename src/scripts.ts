/** The package's own files: the texts of the shell scripts, read once when first used. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Directories of scripts: in-testbed has those that run with the testbed's tools. */
export type ScriptFolder = 'in-testbed' | 'network';

const texts = new Map<string, string>();

/** The folder of package.json. Both src/scripts.ts and what is bundled below dist have to find the same. */
export function packageRoot(): string {
  // As a path from the start where there is one: to make one of a URL loads code that takes a millisecond.
  const here = typeof __filename === 'string' ? __filename : fileURLToPath(import.meta.url);
  const at = Math.max(here.lastIndexOf('/src/'), here.lastIndexOf('/dist/'));
  return here.slice(0, at);
}

/** Where a script lies on the host. */
export function scriptPath(folder: ScriptFolder, name: string): string {
  return `${packageRoot()}/src/${folder}/${name}`;
}

/** The text of a script, for `sh -c`: the testbed's root may not be able to reach our files. */
export function scriptText(folder: ScriptFolder, name: string): string {
  const path = scriptPath(folder, name);
  let text = texts.get(path);
  if (text === undefined) {
    text = readFileSync(path, 'utf8');
    texts.set(path, text);
  }
  return text;
}
