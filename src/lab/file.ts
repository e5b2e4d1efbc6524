/** The file that describes a laboratory: docs/networks.md. Reads no file but looks whether a path exists. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { basename, dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { parseCount, parseSize } from '../command-line/values.ts';
import { messageOf, UsageError } from '../errors.ts';
import { isHostname } from '../network/hosts.ts';
import type { MemberOptions, Route } from '../network/membership.ts';
import { formatSubnet, normalAddress, parseSubnet } from '../network/subnet.ts';
import { hostArchitecture } from '../rootfs/release.ts';
import { imageNamed, type RootOptions } from '../rootfs/source.ts';
import type { InitChoice } from '../testbed/init-choice.ts';
import { type Fields, fields, flag, isFields, list, optionalWord, word, words } from './fields.ts';
import { interfacesOf, type LabNetwork } from './interfaces.ts';

export interface LabHost {
  readonly member: MemberOptions;
  readonly root: RootOptions;
  readonly init?: InitChoice;
  readonly binds: readonly {
    readonly outside: string;
    readonly inside: string;
    readonly readOnly: boolean;
  }[];
  readonly maxProcesses: number | undefined;
  /** Bytes. */
  readonly maxMemory: number | undefined;
  /** Shell commands in order; one that fails ends the laboratory. */
  readonly commands: readonly string[];
  /** Shell commands that are started after them and left running. */
  readonly daemons: readonly string[];
}

export interface LabFile {
  readonly name: string;
  readonly networks: readonly LabNetwork[];
  readonly hosts: readonly LabHost[];
}

/** Paths in the file are relative to its directory. @throws UsageError that names the place in the file */
export function parseLab(text: string, path: string): LabFile {
  let value: unknown;
  try {
    // Its warnings, such as of an unknown tag, would be printed by Node.
    value = parse(text, { logLevel: 'error' });
  } catch (cause) {
    // Of an alias it throws other errors: unknown, too many.
    throw new UsageError(`${path} cannot be read: ${messageOf(cause).split('\n', 1)[0]?.replace(/:$/, '')}`, {
      code: 'WRONG_LAB_FILE',
      remedy: 'correct it',
      cause,
    });
  }
  try {
    return labOf(value, path);
  } catch (cause) {
    if (!(cause instanceof UsageError)) throw cause;
    const { message, code, remedy } = cause;
    const what = remedy === undefined ? message : message.slice(0, -`; ${remedy}`.length);
    throw new UsageError(`${path}: ${what}`, { code, remedy, cause });
  }
}

/** A network's is a part of names of claims. */
const LONGEST_NAME = 50;

function labName(path: string, given?: unknown): string {
  const stem = given === undefined ? basename(path).replace(/\.[a-z]+$/, '') : word(given, 'name');
  const sum = createHash('sha256').update(path).digest('hex').slice(0, 8);
  const plain = stem.replaceAll(/[^A-Za-z0-9.-]/g, '-').replace(/^[^A-Za-z0-9]+/, '');
  return `${plain.slice(0, LONGEST_NAME) || 'lab'}-${sum}`;
}

function labOf(value: unknown, path: string): LabFile {
  const lab = fields(value, 'the file', [
    'name',
    'root',
    'init',
    'networks',
    'hosts',
    'dns',
    'search',
    'outside',
  ]);
  const networks = Object.entries(fields(lab.networks, 'networks')).map(([name, one]) =>
    networkOf(name, one),
  );
  const described = Object.entries(fields(lab.hosts, 'hosts'));
  const first = new Map(described.map(([name, host]) => [name, firstAddress(host)]));
  const hosts = described.map(([name, host]) => hostOf(name, host, lab, networks, first, dirname(path)));
  if (networks.length === 0 || hosts.length === 0)
    throw new UsageError('it describes no network, or no host', {
      code: 'WRONG_LAB_FILE',
      remedy: 'describe at least one of each',
    });
  return { name: labName(path, lab.name), networks, hosts };
}

function networkOf(name: string, value: unknown): LabNetwork {
  const where = `networks.${name}`;
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name) || name.length > LONGEST_NAME) {
    throw new UsageError(`networks has ${JSON.stringify(name)}, which is not a name`, {
      code: 'WRONG_LAB_FILE',
      remedy: `use letters, digits, dots and hyphens, at most ${LONGEST_NAME}`,
    });
  }
  const subnets =
    typeof value === 'string' || Array.isArray(value)
      ? words(value, where)
      : words(fields(value, where, ['subnet']).subnet, `${where}.subnet`);
  return { name, subnets: subnets.map((subnet) => formatSubnet(parseSubnet(subnet))) };
}

const HOST_KEYS = [
  ...['root', 'address', 'networks', 'dns', 'search', 'routes', 'gateway', 'forward', 'outside', 'publish'],
  ...['link', 'init', 'binds', 'binds-ro', 'commands', 'daemons', 'max-processes', 'max-memory'],
];

function hostOf(
  hostname: string,
  value: unknown,
  lab: Fields,
  networks: readonly LabNetwork[],
  first: ReadonlyMap<string, string | undefined>,
  folder: string,
): LabHost {
  const where = `hosts.${hostname}`;
  if (!isHostname(hostname)) {
    throw new UsageError(`hosts has ${JSON.stringify(hostname)}, which is not a host name`, {
      code: 'WRONG_LAB_FILE',
      remedy: 'use lower-case letters, digits and hyphens',
    });
  }
  const host = fields(value ?? {}, where, HOST_KEYS);
  const dns = host.dns ?? lab.dns;
  const search = host.search ?? lab.search;
  const publish = host.publish === undefined ? [] : words(host.publish, `${where}.publish`);
  const gateway = host.gateway === undefined ? [] : [word(host.gateway, `${where}.gateway`)];
  return {
    member: {
      hostname,
      interfaces: interfacesOf(host, where, networks),
      ...(dns === undefined ? {} : { dns: words(dns, `${where}.dns`).map((one) => resolver(one, first)) }),
      ...(search === undefined ? {} : { search: words(search, `${where}.search`) }),
      routes: [
        ...gateway.map((via) => ({ to: 'default', via: normalAddress(via) })),
        ...list(host.routes ?? [], `${where}.routes`).map((route) => routeOf(route, `${where}.routes`)),
      ],
      forward: flag(host.forward, `${where}.forward`),
      outside: flag(host.outside ?? lab.outside ?? publish.length > 0, `${where}.outside`),
      publish,
    },
    root: rootOf(host.root ?? lab.root, `${where}.root`, folder),
    ...initOf(host.init ?? lab.init, `${where}.init`),
    binds: (['binds', 'binds-ro'] as const).flatMap((key) =>
      Object.entries(fields(host[key] ?? {}, `${where}.${key}`)).map(([outside, inside]) => ({
        outside: resolve(folder, outside),
        inside: absolute(word(inside, `${where}.${key}`), `${where}.${key}`),
        readOnly: key === 'binds-ro',
      })),
    ),
    maxProcesses: parseCount(`${where}.max-processes`, optionalWord(host, 'max-processes', where)),
    maxMemory: parseSize(`${where}.max-memory`, optionalWord(host, 'max-memory', where)),
    commands: words(host.commands ?? [], `${where}.commands`),
    daemons: words(host.daemons ?? [], `${where}.daemons`),
  };
}

function routeOf(value: unknown, where: string): Route {
  const { to, via } = fields(value, where, ['to', 'via']);
  const target = word(to, `${where}.to`);
  return {
    to: target === 'default' ? target : formatSubnet(parseSubnet(target)),
    via: normalAddress(word(via, `${where}.via`)),
  };
}

function rootOf(value: unknown, where: string, folder: string): RootOptions {
  if (value === undefined) return {};
  if (typeof value === 'string') return { release: word(value, where) };
  const { tarball, rootfs, ...rest } = fields(value, where, [
    'tarball',
    'rootfs',
    'release',
    'arch',
    'mirror',
  ]);
  const path = (name: string, one: unknown) =>
    one === undefined ? {} : { [name]: located(folder, word(one, `${where}.${name}`)) };
  const plain = Object.entries(rest).map(([name, one]) => [name, word(one, `${where}.${name}`)] as const);
  return { ...path('tarball', tarball), ...path('rootfs', rootfs), ...Object.fromEntries(plain) };
}

function initOf(value: unknown, where: string): { init?: InitChoice } {
  if (value === undefined || value === false || value === 'none') return {};
  if (value === true) return { init: 'image' };
  if (value === 'auto' || value === 'systemd') return { init: value };
  if (typeof value === 'string' && isAbsolute(value)) return { init: value };
  throw new UsageError(`${where} is not an init`, {
    code: 'WRONG_LAB_FILE',
    remedy: 'write true, false, auto, systemd or an absolute path in the testbed',
  });
}

function absolute(path: string, where: string): string {
  if (isAbsolute(path)) return path;
  throw new UsageError(`${where} has ${path}, which is not an absolute path`, {
    code: 'WRONG_LAB_FILE',
    remedy: 'write PATH_OF_THE_HOST: /PATH/IN/THE/TESTBED',
  });
}

function isAbsolute(path: string): path is `/${string}` {
  return path.startsWith('/');
}

/** A path, or the name of an image. */
function located(folder: string, text: string): string {
  const path = resolve(folder, text);
  if (existsSync(path)) return path;
  return imageNamed(text, hostArchitecture(), process.env) === undefined ? path : text;
}

function firstAddress(value: unknown): string | undefined {
  if (!isFields(value)) return undefined;
  const [plug] = isFields(value.networks) ? Object.values(value.networks) : [value.address];
  const address = isFields(plug) ? plug.address : plug;
  const [first] = Array.isArray(address) ? address : [address];
  return typeof first === 'string' ? first : undefined;
}

function resolver(text: string, first: ReadonlyMap<string, string | undefined>): string {
  if (isIP(text) !== 0) return normalAddress(text);
  const address = first.get(text);
  if (address === undefined) {
    throw new UsageError(
      first.has(text)
        ? `dns names the host ${text}, which has no address in the file`
        : `dns names ${text}, which is neither an address nor a host`,
      {
        code: 'WRONG_LAB_FILE',
        remedy: first.has(text) ? `give ${text} an address` : 'use an address or the name of a host',
      },
    );
  }
  return normalAddress(address);
}
