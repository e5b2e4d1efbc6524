// Writes the version of package.json to the other files that have it: package-lock.json, and debian/changelog, where its entry lists
// the changes that CHANGELOG.md has for it.
import { readFileSync, writeFileSync } from 'node:fs';

const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
const old = readFileSync('debian/changelog', 'utf8');

/** The items of that version's section, each in one line, without changesets' ids of commits. */
function changes() {
  const [, section = ''] = readFileSync('CHANGELOG.md', 'utf8').split(`\n## ${version}\n`);
  const [own = ''] = section.split('\n## ');
  const items = own.split(/^- /m).slice(1);
  return items.map((item) =>
    item
      .replace(/\n### [\s\S]*/, '')
      .replace(/^[0-9a-f]{7,}: /, '')
      .replace(/\s+/g, ' ')
      .trim(),
  );
}

/** At most 79 columns, as dpkg-parsechangelog and lintian want. */
function wrap(item) {
  const lines = [''];
  for (const word of item.split(' ')) {
    if (lines.at(-1).length + word.length > 74) lines.push('');
    lines.push(`${lines.pop()} ${word}`.trimStart());
  }
  return lines.map((line, index) => `${index === 0 ? '  * ' : '    '}${line}`);
}

if (!old.startsWith(`virt-ts-unshare (${version}) `)) {
  const maintainer = /^Maintainer: (.*)$/m.exec(readFileSync('debian/control', 'utf8'))[1];
  const date = new Date().toUTCString().replace('GMT', '+0000');
  const entry = [
    `virt-ts-unshare (${version}) unstable; urgency=medium`,
    '',
    ...changes().flatMap(wrap),
    '',
    ` -- ${maintainer}  ${date}`,
    '',
    '',
  ];
  writeFileSync('debian/changelog', entry.join('\n') + old);
}

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'));
lock.version = version;
lock.packages[''].version = version;
writeFileSync('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`);
