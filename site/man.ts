/** Manual pages become HTML by mandoc(1). */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { basename } from 'node:path';

/** Names of manual pages, such as `virt-ts-unshare-run`. The page of the program comes first, that of the server last. */
export function manualsIn(folder: string): string[] {
  if (!existsSync(folder)) throw new Error(`${folder} is missing; run: npm run build`);
  return readdirSync(folder)
    .filter((name) => name.endsWith('.1'))
    .map((name) => basename(name, '.1'))
    .sort(
      (a, b) => Number(a.startsWith('autopkgtest')) - Number(b.startsWith('autopkgtest')) || (a < b ? -1 : 1),
    );
}

export function manualTarget(name: string): string {
  return `man/${name}.html`;
}

/** @param folder of all manual pages, to which references lead */
export function renderManual(folder: string, name: string): string {
  const argv = ['-T', 'html', '-O', 'fragment', `${folder}/${name}.1`];
  const { status, stdout: html, stderr, error } = spawnSync('mandoc', argv, { encoding: 'utf8' });
  if (error !== undefined)
    throw new Error('mandoc is missing; as root: apt-get install mandoc', { cause: error });
  if (status !== 0) throw new Error(`mandoc failed: ${stderr}`);
  const names = new Set(manualsIn(folder));
  return (
    html
      // The page of the site has its own heading; man(7) has no other references than words in bold.
      .replaceAll(/<(\/?)h2\b/g, '<$1h3')
      .replaceAll(/<(\/?)h1\b/g, '<$1h2')
      .replaceAll(/<b>([\w-]+)<\/b>\((\d)\)/g, (all, other, section) =>
        names.has(other) && section === '1' ? `<a href="${other}.html">${all}</a>` : all,
      )
  );
}
