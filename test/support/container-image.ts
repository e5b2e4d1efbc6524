/** Container images that are made byte by byte, as no honest tool would write them. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { hostArchitecture } from '../../src/rootfs/release.ts';

export type Json = Record<string, unknown>;

export interface Made {
  readonly layers: readonly Buffer[];
  readonly env?: readonly string[];
  /** As images name it. */
  readonly architecture?: string;
  readonly tag?: string;
  /** Other values of a JSON file, whose digest is right for it. */
  readonly change?: (what: 'config' | 'manifest' | 'index', json: Json) => Json;
  readonly compress?: (layer: Buffer) => Buffer;
}

const GO_NAMES: Readonly<Record<string, string>> = { i386: '386', ppc64el: 'ppc64le', armhf: 'arm' };

export function goArchitecture(): string {
  const arch = hostArchitecture();
  return GO_NAMES[arch] ?? arch;
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Writes an OCI image layout; gives the descriptor of its manifest. */
export function writeLayout(folder: string, made: Made): Json {
  const { layers, env = [], architecture = goArchitecture(), tag, change, compress = gzipSync } = made;
  mkdirSync(join(folder, 'blobs/sha256'), { recursive: true });
  const blob = (bytes: Buffer, mediaType: string): Json => {
    writeFileSync(join(folder, 'blobs/sha256', sha256(bytes)), bytes);
    return { mediaType, digest: `sha256:${sha256(bytes)}`, size: bytes.length };
  };
  const changed = (what: 'config' | 'manifest' | 'index', json: Json): Buffer => {
    return Buffer.from(JSON.stringify({ ...json, ...change?.(what, json) }));
  };
  const type = (name: string) => `application/vnd.oci.image.${name}`;
  const config = changed('config', {
    ...{ architecture, os: 'linux', config: { Env: env } },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${sha256(layer)}`) },
  });
  const manifest = changed('manifest', {
    schemaVersion: 2,
    config: blob(config, type('config.v1+json')),
    layers: layers.map((layer) => blob(compress(layer), type('layer.v1.tar+gzip'))),
  });
  const descriptor = {
    ...blob(manifest, type('manifest.v1+json')),
    ...(tag === undefined ? {} : { annotations: { 'org.opencontainers.image.ref.name': tag } }),
  };
  writeIndex(folder, [descriptor], change);
  return descriptor;
}

export function writeIndex(folder: string, manifests: readonly Json[], change?: Made['change']): void {
  const index = { schemaVersion: 2, manifests };
  writeFileSync(join(folder, 'index.json'), JSON.stringify({ ...index, ...change?.('index', index) }));
  writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
}
