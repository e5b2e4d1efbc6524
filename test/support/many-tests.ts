/** A source package that is made for a test. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** @param tests name and script of each; @param control of debian/tests */
export function makePackage(
  folder: string,
  control: string,
  tests: Readonly<Record<string, string>> = {},
): string {
  const path = join(folder, 'mock-made');
  mkdirSync(join(path, 'debian/tests'), { recursive: true });
  const files: Readonly<Record<string, string>> = {
    control:
      'Source: mock-made\nMaintainer: Mock Packages <mock@localhost>\n\nPackage: mock-made\nArchitecture: all\nDescription: mock package\n',
    changelog:
      'mock-made (1.0) unstable; urgency=medium\n\n  * Made.\n\n -- Mock <mock@localhost>  Sat, 01 Nov 2025 12:00:00 +0000\n',
    'tests/control': control,
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, 'debian', name), text);
  for (const [name, script] of Object.entries(tests)) {
    writeFileSync(join(path, 'debian/tests', name), `#!/bin/sh\nset -eu\n${script}\n`);
    chmodSync(join(path, 'debian/tests', name), 0o755);
  }
  return path;
}
