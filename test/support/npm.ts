/** The packages for npm, made of the built program, and a registry that has them and nothing else. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { projectDir } from './rootfs.ts';

/** Makes the tarballs in the folder, and gives their paths. */
export function makePackages(folder: string, ...options: readonly string[]): string[] {
  const argv = ['scripts/npm-packages.js', '--no-build', ...options, folder];
  execFileSync(process.execPath, argv, { cwd: projectDir, stdio: ['ignore', 'ignore', 'inherit'] });
  return readdirSync(folder)
    .filter((name) => name.endsWith('.tgz'))
    .map((name) => join(folder, name));
}

interface Manifest {
  readonly name: string;
  readonly version: string;
}

function manifestOf(tarball: string): Manifest {
  const text = execFileSync('tar', ['-xzOf', tarball, 'package/package.json'], { encoding: 'utf8' });
  return JSON.parse(text);
}

export class Registry {
  readonly #server: Server;
  readonly #tarballs: ReadonlyMap<string, { manifest: Manifest; content: Buffer }>;

  private constructor(tarballs: readonly string[]) {
    this.#tarballs = new Map(
      tarballs.map((path) => {
        const manifest = manifestOf(path);
        return [manifest.name, { manifest, content: readFileSync(path) }];
      }),
    );
    this.#server = createServer((request, response) => {
      const path = decodeURIComponent(request.url ?? '').slice(1);
      const isTarball = path.endsWith('.tgz');
      const found = this.#tarballs.get(isTarball ? path.slice(0, -'.tgz'.length) : path);
      if (found === undefined) response.writeHead(404).end('{}');
      else if (isTarball) response.end(found.content);
      else response.setHeader('content-type', 'application/json').end(this.#document(found));
    });
  }

  static async start(tarballs: readonly string[]): Promise<Registry> {
    const registry = new Registry(tarballs);
    registry.#server.listen(0, '127.0.0.1');
    await once(registry.#server, 'listening');
    return registry;
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the registry does not listen');
    return `http://127.0.0.1:${address.port}/`;
  }

  /** What npm reads about a package with one version. */
  #document({ manifest, content }: { manifest: Manifest; content: Buffer }): string {
    const { name, version } = manifest;
    const integrity = `sha512-${createHash('sha512').update(content).digest('base64')}`;
    const dist = { tarball: `${this.url}${encodeURIComponent(name)}.tgz`, integrity };
    return JSON.stringify({
      name,
      'dist-tags': { latest: version },
      versions: { [version]: { ...manifest, dist } },
    });
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
