import { isIP } from 'node:net';
import { UsageError } from '../errors.ts';

interface Publish {
  readonly address: string;
  readonly hostPort: number;
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
}

const SPEC =
  /^(?:(?<v4>\d+(?:\.\d+){3}):|\[(?<v6>[0-9a-fA-F:.]+)\]:)?(?<host>\d{1,5})(?::(?<port>\d{1,5}))?(?:\/(?<protocol>tcp|udp))?$/;

/** Reads `[ADDRESS:]HOSTPORT[:PORT][/tcp|/udp]`. Default address: 127.0.0.1. @throws UsageError */
export function parsePublish(text: string): Publish {
  const { v4, v6, host, port = host, protocol } = SPEC.exec(text)?.groups ?? {};
  const address = v4 ?? v6 ?? '127.0.0.1';
  const hostPort = Number(host);
  const target = Number(port);
  if (!(isIP(address) !== 0 && hostPort >= 1 && hostPort <= 65535 && target >= 1 && target <= 65535)) {
    throw new UsageError(`${text} is not a port to publish`, {
      code: 'WRONG_VALUE',
      remedy: 'write [ADDRESS:]HOSTPORT[:PORT][/tcp|/udp], such as 8080:80',
    });
  }
  return {
    address,
    hostPort,
    port: target,
    protocol: protocol === 'udp' ? 'udp' : 'tcp',
  };
}

/** The arguments of pasta. Ports that are not named are not forwarded, in neither direction. */
export function pastaPorts(published: readonly Publish[]): string[] {
  const specs = (protocol: Publish['protocol'], option: string) => {
    const chosen = published.filter((one) => one.protocol === protocol);
    if (chosen.length === 0) return [option, 'none'];
    return chosen.flatMap((one) => [option, `${one.address}/${one.hostPort}:${one.port}`]);
  };
  return [...specs('tcp', '-t'), ...specs('udp', '-u'), '-T', 'none', '-U', 'none'];
}
