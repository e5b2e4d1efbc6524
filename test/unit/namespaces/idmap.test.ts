import assert from 'node:assert/strict';
import {
  type Caller,
  chooseIdMaps,
  insideUser,
  largestRange,
  mapText,
  parseMap,
} from '../../../src/namespaces/idmap.ts';

const FULL = [{ inside: 0, outside: 0, count: 4294967295 }];

function caller(changes: Partial<Caller>): Caller {
  return {
    uid: 1000,
    gid: 1000,
    ownUsers: FULL,
    ownGroups: FULL,
    subUsers: undefined,
    subGroups: undefined,
    ...changes,
  };
}

describe('id maps', () => {
  it('give an ordinary user with ranges a root that is a subordinate id, not the caller', () => {
    const range = { start: 100000, count: 65536 };
    const maps = chooseIdMaps(caller({ subUsers: range, subGroups: range }));
    assert.equal(maps.stage, 'ranges');
    assert.equal(mapText(maps.stageUsers), '0 1000 1\n1 100000 65536');
    assert.equal(mapText(maps.users), '0 1 65536');
    assert.equal(maps.single, false);
  });

  it('use no more than 65536 ids of a larger range', () => {
    const range = { start: 200000, count: 1_000_000 };
    assert.equal(mapText(chooseIdMaps(caller({ subUsers: range, subGroups: range })).users), '0 1 65536');
  });

  it('have the caller too where a bind asks for it, but never as root, a normal user or a base’s owner', () => {
    const range = { start: 100000, count: 65536 };
    const who = caller({ subUsers: range, subGroups: range });
    const maps = chooseIdMaps(who, { withCaller: true });
    assert.equal(mapText(maps.users), '0 1 65536\n65536 0 1');
    assert.equal(mapText(maps.groups), '0 1 65536\n65536 0 1');
    assert.equal(insideUser(maps, 1000), 65536);
    assert.equal(maps.key, chooseIdMaps(who).key);
  });

  it('never have real root, nor more than the one id of a user without ranges', () => {
    for (const who of [caller({ uid: 0, gid: 0 }), caller({})]) {
      assert.deepEqual(chooseIdMaps(who, { withCaller: true }), chooseIdMaps(who));
    }
  });

  it('give a user without ranges the one id there is', () => {
    const maps = chooseIdMaps(caller({}));
    assert.equal(maps.stage, 'self');
    assert.equal(mapText(maps.stageUsers), '0 1000 1');
    assert.equal(mapText(maps.users), '0 0 1');
    assert.equal(maps.single, true);
  });

  it('give real root ids that no other user has', () => {
    const maps = chooseIdMaps(caller({ uid: 0, gid: 0 }));
    assert.equal(maps.stage, 'none');
    assert.equal(mapText(maps.users), '0 1879048192 65536');
  });

  it('work for root inside a container of 65536 ids, and of one', () => {
    const small = [{ inside: 0, outside: 100000, count: 65536 }];
    assert.equal(
      mapText(chooseIdMaps(caller({ uid: 0, ownUsers: small, ownGroups: small })).users),
      '0 0 65536',
    );
    const one = [{ inside: 0, outside: 1000, count: 1 }];
    const maps = chooseIdMaps(caller({ uid: 0, ownUsers: one, ownGroups: one }));
    assert.equal(mapText(maps.users), '0 0 1');
    assert.equal(maps.single, true);
  });

  it('have keys that differ when owners on disk differ', () => {
    const a = { start: 100000, count: 65536 };
    const b = { start: 165536, count: 65536 };
    const key = (users: typeof a, groups: typeof a) =>
      chooseIdMaps(caller({ subUsers: users, subGroups: groups })).key;
    assert.equal(new Set([key(a, a), key(b, b), key(a, b), chooseIdMaps(caller({})).key]).size, 4);
  });
});

describe('subordinate ids', () => {
  const text =
    '# comment\nanna:100000:65536\nanna:300000:1000000\nbert:165536:65536\n1002:500000:10\nbroken:x:y\nanna:1\n';

  it('are the largest range of the user, by name or number', () => {
    assert.deepEqual(largestRange(text, ['anna', '1000']), { start: 300000, count: 1000000 });
    assert.deepEqual(largestRange(text, ['carl', '1002']), { start: 500000, count: 10 });
  });

  it('are empty for a user without a correct line in the file', () => {
    assert.equal(largestRange(text, ['ann', '1']), undefined);
    assert.equal(largestRange(text, ['broken']), undefined);
  });

  it('are read from /proc as the kernel writes them', () => {
    assert.deepEqual(parseMap('         0     100000      65536\n     65536       1000          1\n'), [
      { inside: 0, outside: 100000, count: 65536 },
      { inside: 65536, outside: 1000, count: 1 },
    ]);
  });
});
