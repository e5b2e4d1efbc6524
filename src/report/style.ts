/** The style of the page: light and dark, from a phone to a wide screen. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #fcfcfb; --card: #fff; --text: #1c1e21; --soft: #5b626b; --line: #dfe2e6;
  --good: #1a7f37; --bad: #c4232b; --warn: #9a6700;
  --test: #1f6feb; --packages: #d9822b; --build: #8957e5; --command: #8b949e; --testbed: #2da44e; --copy: #db61a2; --driver: #e9ebee;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #101317; --card: #181c22; --text: #e4e7eb; --soft: #9aa4af; --line: #2d333b;
    --good: #57d364; --bad: #ff7b72; --warn: #e3b341;
    --test: #4493f8; --packages: #e8993f; --build: #ab7df8; --command: #6e7681; --testbed: #3fb950; --copy: #f778ba; --driver: #272d35;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.4rem; line-height: 1.25; margin: .3rem 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
a { color: inherit; }
code, pre { font: .85em/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, monospace; unicode-bidi: isolate; }
code { overflow-wrap: anywhere; }
pre { margin: .4rem 0; padding: .6rem .7rem; max-height: 26rem; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere;
  background: var(--page); border: 1px solid var(--line); border-radius: 6px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .6rem; margin: 0; }
.figures div, .card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .6rem .8rem; }
.figures dt { color: var(--soft); font-size: .85rem; }
.figures dd { margin: 0; font-size: 1.25rem; font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); } .soft { color: var(--soft); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: 0 0 .6rem; padding: 0; list-style: none; font-size: .85rem; }
.legend i { display: inline-block; width: .75rem; height: .75rem; margin-right: .35rem; border-radius: 2px; vertical-align: -1px; }
.lane { display: grid; grid-template-columns: 2rem 1fr; align-items: center; }
.lane > span { color: var(--soft); font-size: .8rem; }
.track { position: relative; height: 1.5rem; margin: 2px 0; }
.track > * { position: absolute; top: 0; bottom: 0; min-width: 1px; }
.session { background: var(--driver); border-radius: 3px; }
.bar { overflow: hidden; font-size: .72rem; line-height: 1.5rem; color: #fff; white-space: nowrap; text-overflow: clip; }
.bar.test { border-left: 1px solid var(--card); padding-left: 2px; }
.bar.failed { box-shadow: inset 0 -4px 0 var(--bad); }
.axis { position: relative; height: 1.4rem; margin-left: 2rem; border-top: 1px solid var(--line); font-size: .75rem; color: var(--soft); }
.axis span { position: absolute; transform: translateX(-50%); white-space: nowrap; }
.axis span:first-child { transform: none; } .axis span.last { transform: translateX(-100%); }
.k-test { background: var(--test); } .k-packages { background: var(--packages); } .k-build { background: var(--build); }
.k-command { background: var(--command); } .k-testbed { background: var(--testbed); } .k-copy { background: var(--copy); }
.k-driver { background: var(--driver); } .k-unknown { border: 1px solid var(--line); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 500; font-size: .85rem; }
td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.share { width: 40%; min-width: 5rem; }
td.share i { display: block; height: .8rem; margin-top: .35rem; border-radius: 2px; min-width: 1px; }
details { margin: .4rem 0; }
summary { cursor: pointer; overflow-wrap: anywhere; }
ul.plain { list-style: none; margin: .2rem 0; padding: 0; }
ul.plain li { overflow-wrap: anywhere; }
footer { margin-top: 2.5rem; color: var(--soft); font-size: .85rem; }
@media (max-width: 40rem) {
  body { padding: .7rem; }
  .minor, .axis span:nth-child(even) { display: none; }
  .figures dd { font-size: 1.1rem; }
}
@media print { pre { max-height: none; } }
`;
