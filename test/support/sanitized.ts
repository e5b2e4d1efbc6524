/** The built program with a helper that AddressSanitizer and UndefinedBehaviorSanitizer watch. */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectDir } from './rootfs.ts';

export class SanitizedProgram {
  readonly folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-sanitized-'));
  readonly #logs = join(this.folder, 'logs');

  constructor() {
    chmodSync(this.folder, 0o755);
    mkdirSync(this.#logs);
    // Users of testbeds write there too.
    chmodSync(this.#logs, 0o777);
    for (const name of ['bin', 'dist', 'src/in-testbed', 'src/network/outside.sh', 'package.json']) {
      cpSync(join(projectDir, name), join(this.folder, name), { recursive: true });
    }
    rmSync(this.helper);
    const sources = readdirSync(join(projectDir, 'helper')).filter((name) => name.endsWith('.c'));
    execFileSync(
      'gcc',
      [
        ...['-std=c17', '-g', '-O0', '-pthread', '-fno-omit-frame-pointer', `-DLOG="${this.#logs}/report"`],
        // The libraries of both within the program: in a testbed's root filesystem there are none.
        ...[
          '-fsanitize=address,undefined',
          '-fno-sanitize-recover=all',
          '-static-libasan',
          '-static-libubsan',
        ],
        ...['-o', this.helper, ...sources.map((name) => join(projectDir, 'helper', name))],
        join(projectDir, 'test/fuzz/sanitizers/options.c'),
      ],
      { stdio: 'inherit' },
    );
  }

  get helper(): string {
    return join(this.folder, `dist/helper-${process.arch}`);
  }

  get program(): string {
    return join(this.folder, 'bin/virt-ts-unshare');
  }

  /** What the sanitizers have found so far. */
  reports(): string[] {
    return readdirSync(this.#logs).map((name) => readFileSync(join(this.#logs, name), 'utf8'));
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
