/**
 * Commands whose output, or whose end, is easily lost: what they write, and what may be left of them. Each is a script for
 * `sh -c SCRIPT case FOLDER`, FOLDER being a new one of its own inside. POSIX sh and busybox's tools, so that they run in any root
 * filesystem.
 */

export interface Case {
  readonly name: string;
  readonly script: string;
  /** Exactly. */
  readonly stdout: string;
  readonly stderr?: string;
  readonly status: number;
  /** Files in FOLDER that must be whole when the command returns. */
  readonly files?: Readonly<Record<string, string>>;
  /** Processes named `sleep NUMBER` that must be there afterwards; none else may. */
  readonly alive?: readonly number[];
  /** The script wants this program, which not every root filesystem has. */
  readonly needs?: 'bash';
  /** Seconds that a stuck helper is waited for; default 10. */
  readonly drain?: number;
  /** It takes time, but no processor: many may run side by side. */
  readonly waits?: true;
}

/** What `seq LAST` writes. */
function lines(last: number, map: (line: string) => string = (line) => line): string {
  return Array.from({ length: last }, (_, index) => `${map(String(index + 1))}\n`).join('');
}

export const cases: readonly Case[] = [
  {
    name: 'tee',
    script: 'cd "$1"; mkfifo p; tee log <p & exec >p; seq 2000; exit 3',
    stdout: lines(2000),
    status: 3,
    files: { log: lines(2000) },
  },
  {
    name: 'tee to stderr',
    script: 'cd "$1"; mkfifo p; tee log <p >&2 & exec 2>p; seq 500 >&2; exit 4',
    stdout: '',
    stderr: lines(500),
    status: 4,
    files: { log: lines(500) },
  },
  {
    name: 'tee on both',
    script: 'cd "$1"; mkfifo p q; tee log <p & tee errors <q >&2 & exec >p 2>q; seq 500; seq 400 >&2; exit 5',
    stdout: lines(500),
    stderr: lines(400),
    status: 5,
    files: { log: lines(500), errors: lines(400) },
  },
  {
    name: 'chain of helpers',
    script: 'cd "$1"; mkfifo p q r; sed s/^/x/ <p >q & cat <q >r & tee log <r & exec >p; seq 1000; exit 6',
    stdout: lines(1000, (line) => `x${line}`),
    status: 6,
    files: { log: lines(1000, (line) => `x${line}`) },
  },
  {
    name: 'slow helper',
    script:
      'cd "$1"; mkfifo p; while read -r line; do sleep 0.03; echo "$line" >>log; echo "$line"; done <p & exec >p; seq 10; exit 7',
    stdout: lines(10),
    status: 7,
    waits: true,
    files: { log: lines(10) },
  },
  {
    name: 'helper that writes at the end',
    script: 'cd "$1"; mkfifo p; sort -n <p & exec >p; seq 3000; exit 8',
    stdout: lines(3000),
    status: 8,
  },
  {
    name: 'helper that starts programs',
    script: 'cd "$1"; mkfifo p; xargs -n 1 echo <p & exec >p; seq 30; exit 9',
    stdout: lines(30),
    status: 9,
  },
  {
    name: 'much output',
    script: 'cd "$1"; mkfifo p; tee log <p & exec >p; seq 300000; exit 10',
    stdout: lines(300000),
    status: 10,
    files: { log: lines(300000) },
  },
  {
    name: 'killed behind a tee',
    script: 'cd "$1"; mkfifo p; tee log <p & exec >p; seq 2000; kill -9 $$',
    stdout: lines(2000),
    status: 137,
    files: { log: lines(2000) },
  },
  {
    name: 'bash: process substitution',
    needs: 'bash',
    script: 'cd "$1"; exec bash -c "exec > >(tee log) 2> >(tee errors >&2); seq 2000; seq 300 >&2; exit 11"',
    stdout: lines(2000),
    stderr: lines(300),
    status: 11,
    files: { log: lines(2000), errors: lines(300) },
  },
  {
    name: 'daemon that holds stdout',
    script: 'sleep 6000 & echo done; exit 12',
    stdout: 'done\n',
    status: 12,
  },
  {
    name: 'daemon in a session of its own',
    script: 'setsid sleep 6000 & echo done; exit 13',
    stdout: 'done\n',
    status: 13,
  },
  {
    name: 'stopped process',
    script: '(sleep 6000 & echo $! >"$1/pid"); kill -STOP $(cat "$1/pid"); echo done; exit 14',
    stdout: 'done\n',
    status: 14,
  },
  {
    name: 'process that ignores signals',
    script: '(trap "" HUP INT QUIT TERM; sleep 6000; sleep 6000) & echo done; exit 15',
    stdout: 'done\n',
    status: 15,
  },
  {
    name: 'process that forks again',
    script: 'cd "$1"; echo "(exec sh hop) & sleep 0.01" >hop; sh hop & echo done; exit 16',
    stdout: 'done\n',
    status: 16,
  },
  {
    name: 'process that forks again at once',
    // While its child is stopped, exit in mksh writes "You have stopped jobs".
    script: 'cd "$1"; echo "(exec sh hop) & exit 2>/dev/null" >hop; sh hop & echo done; exit 17',
    stdout: 'done\n',
    status: 17,
  },
  {
    name: 'leak behind a tee',
    script: 'cd "$1"; mkfifo p; tee log <p & exec >p 2>&1; sleep 6000 & seq 100; exit 18',
    stdout: lines(100),
    status: 18,
    files: { log: lines(100) },
  },
  {
    name: 'leak behind a chain',
    script: 'cd "$1"; mkfifo p q; cat <p >q & tee log <q & exec >p 2>&1; sleep 6000 & seq 100; exit 19',
    stdout: lines(100),
    status: 19,
    files: { log: lines(100) },
  },
  {
    name: 'leak on another descriptor',
    script: 'sleep 6000 9>&1 >/dev/null 2>&1 & echo done; exit 20',
    stdout: 'done\n',
    status: 20,
  },
  {
    name: 'daemon that redirected its output',
    script: 'sleep 6001 >/dev/null 2>&1 </dev/null & echo done; exit 21',
    stdout: 'done\n',
    status: 21,
    alive: [6001],
  },
  {
    name: 'helper that is stuck',
    script: 'cd "$1"; mkfifo p; sleep 6000 <p & exec >p 2>&1; echo lost; exit 22',
    stdout: '',
    status: 22,
    drain: 1,
    waits: true,
  },
  {
    name: 'kill -9 -1',
    script: 'kill -9 -1; echo done; exit 23',
    stdout: 'done\n',
    status: 23,
  },
  {
    name: 'many leaks',
    script: 'i=0; while [ $i -lt 50 ]; do sleep 6000 & i=$((i+1)); done; echo done; exit 24',
    stdout: 'done\n',
    status: 24,
  },
];
