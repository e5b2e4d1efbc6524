// Makes what is published: virt-ts-unshare, without a compiled program, and a package with the helper for each architecture below, of
// which npm installs the one that fits. Arguments: the directory for the tarballs (default: build/npm), --no-build (take dist as
// it is) and --arch NAME,... (leave out the others).
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** Node's name of each architecture, the prefix of Debian's compiler for it, and the packages with that compiler. */
const ARCHITECTURES = {
  x64: { prefix: 'x86_64-linux-gnu', packages: 'gcc-x86-64-linux-gnu libc6-dev-amd64-cross' },
  arm64: { prefix: 'aarch64-linux-gnu', packages: 'gcc-aarch64-linux-gnu libc6-dev-arm64-cross' },
};

const { values, positionals } = parseArgs({
  options: { build: { type: 'boolean', default: true }, arch: { type: 'string' } },
  allowNegative: true,
  allowPositionals: true,
});
const target = resolve(positionals[0] ?? 'build/npm');
process.chdir(join(dirname(fileURLToPath(import.meta.url)), '..'));
const described = JSON.parse(readFileSync('package.json', 'utf8'));
const { version, license, homepage, bugs, repository, engines, os } = described;
const architectures = values.arch?.split(',') ?? Object.keys(ARCHITECTURES);

const nameOf = (arch) => `@virt-ts-unshare/linux-${arch}`;

function write(directory, name, value) {
  writeFileSync(
    join(directory, name),
    typeof value === 'string' ? value : `${JSON.stringify(value, null, 2)}\n`,
  );
}

/** @returns what is recorded about the compiled program */
function helperPackage(arch) {
  const { prefix, packages } = ARCHITECTURES[arch];
  const directory = join(target, `linux-${arch}`);
  mkdirSync(directory, { recursive: true });
  const compiler = `${prefix}-gcc`;
  const environment = { ...process.env, CC: compiler, CFLAGS: '-Werror', LDFLAGS: '' };
  let compilerVersion;
  try {
    compilerVersion = execFileSync(compiler, ['--version'], { encoding: 'utf8' }).split('\n')[0];
    execFileSync('helper/compile', [join(directory, 'helper')], { env: environment, stdio: 'inherit' });
  } catch (cause) {
    throw new Error(`cannot compile the helper for ${arch}; install ${packages}`, { cause });
  }
  const sha256 = createHash('sha256')
    .update(readFileSync(join(directory, 'helper')))
    .digest('hex');
  write(directory, 'package.json', {
    name: nameOf(arch),
    version,
    description: `The compiled helper of virt-ts-unshare for Linux on ${arch}`,
    ...{ homepage, bugs, repository, license, engines, os },
    cpu: [arch],
    type: 'commonjs',
    files: ['helper'],
    // Yarn keeps packages in archives, from which no program can be started.
    preferUnplugged: true,
    publishConfig: { access: 'public' },
  });
  write(
    directory,
    'README.md',
    `# ${nameOf(arch)}

The compiled helper of [virt-ts-unshare](${homepage}) for Linux on ${arch}, a static program. npm installs it with
\`virt-ts-unshare\`, which has its source (\`helper/*.c\`) and the script that compiles it (\`helper/compile\`). It contains parts of the
GNU C library, which is under the LGPL 2.1 or later.

    SHA-256   ${sha256}
    compiler  ${compilerVersion}

The same compiler and C library make the same bytes from that source, in any directory.
`,
  );
  cpSync('LICENSE', join(directory, 'LICENSE'));
  return { sha256, compiler: compilerVersion };
}

/** The program without its development: what it uses is bundled, so it has no dependencies but the helper. */
function mainPackage(helpers) {
  const directory = join(target, 'virt-ts-unshare');
  for (const name of [...described.files, 'README.md', 'LICENSE']) {
    if (existsSync(name)) cpSync(name, join(directory, name), { recursive: true, verbatimSymlinks: true });
  }
  for (const arch of Object.keys(ARCHITECTURES))
    rmSync(join(directory, `dist/helper-${arch}`), { force: true });
  write(join(directory, 'dist'), 'helpers.json', helpers);
  const { scripts, devDependencies, dependencies, ...published } = described;
  const optionalDependencies = Object.fromEntries(
    Object.keys(ARCHITECTURES).map((arch) => [nameOf(arch), version]),
  );
  // npm links them to where man(1) looks when the package is installed globally.
  const man = readdirSync('dist/man').map((name) => `./dist/man/${name}`);
  write(directory, 'package.json', { ...published, man, optionalDependencies });
  return directory;
}

function pack(directory) {
  const argv = ['pack', '--silent', '--ignore-scripts', '--pack-destination', target, directory];
  const name = execFileSync('npm', argv, { encoding: 'utf8' }).trim();
  console.log(join(target, name));
}

if (values.build) execFileSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit' });
rmSync(target, { recursive: true, force: true });
const helpers = Object.fromEntries(architectures.map((arch) => [arch, helperPackage(arch)]));
pack(mainPackage(helpers));
for (const arch of architectures) pack(join(target, `linux-${arch}`));
