/**
 * The environment of an image goes into its /etc/environment, which every command in a testbed reads (helper/account.c), and
 * pam_env(8) too. So it holds for copies and layers of the image as well.
 */

/** They belong to the user that runs a command. */
const OF_THE_USER: readonly string[] = ['HOME', 'LOGNAME', 'PWD', 'SHELL', 'TERM', 'USER'];

interface Merged {
  readonly text: string;
  /** Names of variables that a line cannot have. */
  readonly skipped: readonly string[];
}

/** @param existing the content of the file; of two lines with the same name the last one counts */
export function mergeEnvironment(existing: string, environment: readonly string[]): Merged | undefined {
  const lines: string[] = [];
  const skipped: string[] = [];
  for (const each of environment) {
    const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(each) ?? [];
    if (name === undefined || value === undefined || /[\n\r\0]/.test(value))
      skipped.push(each.split('=', 1)[0] ?? '');
    else if (!OF_THE_USER.includes(name)) lines.push(`${name}=${quoted(value)}\n`);
  }
  if (lines.length === 0 && skipped.length === 0) return undefined;
  const before = existing === '' || existing.endsWith('\n') ? existing : `${existing}\n`;
  return { text: before + lines.join(''), skipped };
}

/** Only the outer quotes are removed by those who read it. */
function quoted(value: string): string {
  return /^["'\s]|["'\s]$/.test(value) ? `"${value}"` : value;
}
