// Writes the manual pages and the completions of shells into dist; the build calls it.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bashCompletion } from '../src/command-line/completion-bash.ts';
import { fishCompletion } from '../src/command-line/completion-fish.ts';
import { zshCompletion } from '../src/command-line/completion-zsh.ts';
import { manualPages } from '../src/command-line/man.ts';

/** When the pages were last read as a whole. A date of the build would make builds differ. */
const DATE = '2026-11-29';

const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
const folders = {
  'dist/man': manualPages({ version, date: DATE }),
  'dist/completions': new Map([
    // By these names the shells find them.
    ['virt-ts-unshare', bashCompletion()],
    ['_virt-ts-unshare', zshCompletion()],
    ['virt-ts-unshare.fish', fishCompletion()],
  ]),
};
for (const [folder, files] of Object.entries(folders)) {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of files) writeFileSync(join(folder, name), text);
}
