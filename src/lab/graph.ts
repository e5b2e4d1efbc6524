import { describeQuality } from '../network/link.ts';
import type { LabFile, LabHost } from './file.ts';

interface Edge {
  readonly host: string;
  readonly network: string;
  readonly label: string;
}

function edgesOf({ hosts }: LabFile): Edge[] {
  return hosts.flatMap(({ member }) =>
    member.interfaces.map(({ network, addresses = [], quality = {} }) => ({
      host: member.hostname,
      network,
      label: [...addresses, describeQuality(quality)].filter((text) => text !== '').join('\n'),
    })),
  );
}

function notes({ member }: LabHost): string[] {
  return [
    ...(member.forward === true ? ['router'] : []),
    ...(member.outside === true ? ['outside access'] : []),
    ...(member.publish ?? []).map((port) => `published ${port}`),
  ];
}

export function dotGraph(lab: LabFile): string {
  const text = (...lines: string[]) =>
    `"${lines.join('\n').replaceAll(/["\\]/g, '\\$&').replaceAll('\n', '\\n')}"`;
  return [
    `graph ${text(lab.name)} {`,
    '  layout=neato; overlap=false; node [fontname="sans-serif"]; edge [fontname="sans-serif", fontsize=10];',
    ...lab.networks.map(
      (one) => `  ${text(`net ${one.name}`)} [label=${text(one.name, ...one.subnets)}, shape=ellipse];`,
    ),
    ...lab.hosts.map(
      (host) =>
        `  ${text(host.member.hostname)} [label=${text(host.member.hostname, ...notes(host))}, shape=box];`,
    ),
    ...edgesOf(lab).map(
      (edge) => `  ${text(edge.host)} -- ${text(`net ${edge.network}`)} [label=${text(edge.label)}];`,
    ),
    '}',
    '',
  ].join('\n');
}

const WIDTH = 190;
const HOST_TOP = 70;
const LINE = 16;

export function svgGraph(lab: LabFile): string {
  const edges = edgesOf(lab);
  const depth = Math.max(...lab.hosts.map((host) => notes(host).length));
  const hostHeight = 34 + depth * LINE;
  const firstBar = HOST_TOP + hostHeight + 90;
  const width = 40 + lab.hosts.length * WIDTH;
  const height = firstBar + lab.networks.length * 90;
  const left = (index: number) => 30 + index * WIDTH;
  const bar = (index: number) => firstBar + index * 90;
  const parts: string[] = [label(20, 32, lab.name, 'title')];
  for (const [index, { name, subnets }] of lab.networks.entries()) {
    parts.push(`<rect class="network" x="20" y="${bar(index)}" width="${width - 40}" height="8" rx="4"/>`);
    parts.push(label(24, bar(index) + 26, [name, ...subnets].join('  '), 'name'));
  }
  for (const [index, host] of lab.hosts.entries()) {
    const { hostname } = host.member;
    const own = edges.filter((edge) => edge.host === hostname);
    for (const [number, edge] of own.entries()) {
      const x = left(index) + 24 + number * 60;
      const at = bar(lab.networks.findIndex((network) => network.name === edge.network));
      parts.push(`<path class="link" d="M${x} ${HOST_TOP + hostHeight}V${at}"/>`);
      for (const [row, text] of edge.label.split('\n').entries()) {
        parts.push(label(x + 6, at - 12 - (edge.label.split('\n').length - 1 - row) * LINE, text, 'note'));
      }
    }
    parts.push(
      `<rect class="host" x="${left(index)}" y="${HOST_TOP}" width="${WIDTH - 30}" height="${hostHeight}" rx="6"/>`,
      label(left(index) + 12, HOST_TOP + 22, hostname, 'name'),
      ...notes(host).map((text, row) => label(left(index) + 12, HOST_TOP + 40 + row * LINE, text, 'note')),
    );
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">
<title>${escaped(lab.name)}</title>
<style>
  text { font: 13px sans-serif; fill: #222 } .title { font-size: 18px } .name { font-weight: bold } .note { font-size: 11px; fill: #555 }
  .host { fill: #eef4fb; stroke: #36648b } .network { fill: #3b7a57 } .link { stroke: #888; stroke-width: 2; fill: none }
</style>
<rect width="100%" height="100%" fill="#fff"/>
${parts.join('\n')}
</svg>
`;
}

function label(x: number, y: number, text: string, kind: string): string {
  return `<text class="${kind}" x="${x}" y="${y}">${escaped(text)}</text>`;
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
