import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Marker } from './left.ts';

interface ServerPlace {
  /** Empty. */
  readonly folder: string;
  readonly marker: Marker;
}

/** Each test of the suite gets a directory, and a marker of what its server makes, which are removed after it. */
export function eachInPlace(use: (place: ServerPlace) => void): void {
  let place: ServerPlace;
  beforeEach(() => {
    place = { folder: mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-')), marker: new Marker() };
    use(place);
  });
  afterEach(() => {
    rmSync(place.folder, { recursive: true });
    place.marker.remove();
  });
}
