/** docs/events.schema.json as a check of events. Members that the schema does not have fail here, which the published one allows. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import type { TestbedEvent } from '../../src/events/types.ts';
import { projectDir } from './rootfs.ts';

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (!isRecord(schema)) return schema;
  const inner = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, closed(value)]));
  return isRecord(schema.properties) && schema.type === 'object'
    ? { additionalProperties: false, ...inner }
    : inner;
}

const text = readFileSync(`${projectDir}docs/events.schema.json`, 'utf8');
const validate = new Ajv({ allErrors: true, strict: true, discriminator: false }).compile<TestbedEvent>(
  Object(closed(JSON.parse(text))),
);

function checked(line: string): TestbedEvent {
  const event: unknown = JSON.parse(line);
  if (validate(event)) return event;
  const kind = isRecord(event) ? String(event.event) : '';
  const about = validate.errors?.filter(({ schemaPath }) => schemaPath.includes(`/${kind}/`));
  throw new assert.AssertionError({ message: `${line}\n${JSON.stringify(about, null, 1)}` });
}

/** The events of a text with one object a line. Throws when one does not fit the schema. */
export function checkedEvents(lines: string): TestbedEvent[] {
  return lines
    .split('\n')
    .filter((line) => line !== '')
    .map(checked);
}

export function readEvents(path: string): TestbedEvent[] {
  return checkedEvents(readFileSync(path, 'utf8'));
}

/** Those of one kind. */
export function only<K extends TestbedEvent['event']>(
  kind: K,
  events: readonly TestbedEvent[],
): Extract<TestbedEvent, { readonly event: K }>[] {
  const isOfKind = (event: TestbedEvent): event is Extract<TestbedEvent, { readonly event: K }> =>
    event.event === kind;
  return events.filter(isOfKind);
}
