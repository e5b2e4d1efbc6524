/** Container images as umoci and skopeo make them. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeLayout } from './container-image.ts';

const rootless = process.geteuid?.() === 0 ? [] : ['--rootless'];

export function umoci(command: string, image: string, ...args: readonly string[]): void {
  const option = ['insert', 'unpack'].includes(command) ? rootless : [];
  execFileSync('umoci', [command, ...option, '--image', image, ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** Copies an image; a copy needs no policy file. */
export function skopeo(from: string, to: string, ...options: readonly string[]): void {
  execFileSync('skopeo', ['--insecure-policy', 'copy', '-q', ...options, from, to], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/**
 * An OCI layout with the tag `made`: the tarball, a layer with files, whiteouts of a file and a directory, an opaque directory, and
 * an environment. Gives its path.
 */
export function layeredImage(folder: string, tarball: string): string {
  const layout = join(folder, 'layout');
  const gzip = (layer: Buffer) => execFileSync('gzip', ['-1'], { input: layer, maxBuffer: 2 ** 30 });
  writeLayout(layout, { layers: [readFileSync(tarball)], tag: 'made', compress: gzip });
  const image = `${layout}:made`;
  const added = join(folder, 'added');
  mkdirSync(join(added, 'bin'), { recursive: true });
  writeFileSync(join(added, 'bin/of-the-image'), '#!/bin/sh\necho "image: $OF_THE_IMAGE"\n', { mode: 0o755 });
  umoci('insert', image, added, '/opt/added');
  umoci('insert', image, '--whiteout', '/etc/issue');
  umoci('insert', image, '--whiteout', '/usr/share/doc');
  umoci('insert', image, '--opaque', added, '/var/log');
  umoci(
    'config',
    image,
    '--config.env',
    'OF_THE_IMAGE=a value',
    '--config.env',
    `PATH=/opt/added/bin:${PATH}`,
  );
  return layout;
}

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
