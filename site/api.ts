/** The reference of the library, made by typedoc from the types of src/index.ts. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync } from 'node:fs';

const FOLDER = 'site';

/** typedoc does not work with the TypeScript of this project; it is installed beside its own one. */
function installTypedoc(project: string): void {
  const lock = `${project}/${FOLDER}/package-lock.json`;
  const installed = `${project}/${FOLDER}/node_modules/.installed-lock.json`;
  if (existsSync(installed) && readFileSync(installed).equals(readFileSync(lock))) return;
  const argv = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const { status } = spawnSync('npm', argv, { cwd: `${project}/${FOLDER}`, stdio: ['ignore', 2, 2] });
  if (status !== 0) throw new Error('npm ci of site/ failed; its messages above say why');
  copyFileSync(lock, installed);
}

/** Fails when something that src/index.ts exports has no docstring, or a docstring links to nothing. */
export function writeReference(project: string, out: string, repository: string): void {
  installTypedoc(project);
  const argv = [
    `${FOLDER}/node_modules/typedoc/bin/typedoc`,
    '--options',
    `${FOLDER}/typedoc.json`,
    '--out',
    out,
    '--sourceLinkTemplate',
    `${repository}/blob/main/{path}#L{line}`,
  ];
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, { cwd: project, encoding: 'utf8' });
  if (status !== 0) throw new Error(`typedoc failed:\n${stdout}${stderr}`);
}
