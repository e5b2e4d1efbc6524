import {
  type Completed,
  completedOptions,
  type Kind,
  LIST_IMAGES,
  LIST_TESTBEDS,
  operandKind,
  PROGRAMS,
  RELEASES,
  subCommands,
  verbs,
} from './completion.ts';
import type { Owner } from './given.ts';
import { PAGES } from './pages.ts';
import type { Verb } from './table.ts';

export function zshCompletion(): string {
  return `#compdef ${PROGRAMS.join(' ')}
# Completion for zsh, made from src/command-line when the program is built.

_virt_ts_unshare_releases() {
  local -a found
  found=(${RELEASES.join(' ')} \${(f)"$(${LIST_IMAGES} | sed 's/-[a-z0-9]*$//')"})
  compadd -a found
}

_virt_ts_unshare_images() {
  local -a found
  found=(\${(f)"$(${LIST_IMAGES})"})
  compadd -a found
}

_virt_ts_unshare_testbeds() {
  local -a found
  found=(\${(f)"$(${LIST_TESTBEDS})"})
  compadd -a found
}

_virt_ts_unshare_verbs() {
  local -a verbs
  verbs=(
${verbs()
  .map((verb) => `    ${quoted(`${verb}:${PAGES[verb].summary}`)}`)
  .join('\n')}
    'help:show the options of a verb'
    'version:show the version'
  )
  _describe verb verbs
}

${verbs()
  .filter((verb) => subCommands(verb).length > 0)
  .map(commandFunction)
  .join('\n')}
_virt_ts_unshare() {
  local context state state_descr line
  local -A opt_args
  if (( CURRENT > 2 )) && [[ $words[2] != -* ]]; then
    local verb=$words[2]
    shift words
    (( CURRENT -= 1 ))
    case $verb in
${verbs()
  .map((verb) => `      ${verb})\n        _arguments -s -S : ${specs(verb)}${operandSpec(verb)}\n        ;;`)
  .join('\n')}
      help) _virt_ts_unshare_verbs ;;
    esac
    return
  fi
  _arguments -s -S : ${specs('server')} \\
    '1:verb:_virt_ts_unshare_verbs'
}

_virt_ts_unshare "$@"
`;
}

function commandFunction(verb: Verb): string {
  const names = subCommands(verb);
  const cases = names
    .map(({ name }) => ({ name, action: action(operandKind(verb, name)) }))
    .filter(({ action }) => action !== '')
    .map(({ name, action }) => `    ${name}) ${action} ;;`);
  return `_virt_ts_unshare_${verb}() {
  local -a commands
  commands=(
${names.map(({ name, help }) => `    ${quoted(`${name}:${help}`)}`).join('\n')}
  )
  if (( CURRENT == 2 )) || [[ $words[2] == -* ]]; then
    _describe command commands
    return
  fi
  case $words[2] in
${cases.join('\n')}
  esac
}
`;
}

function specs(owner: Owner): string {
  return completedOptions(owner).map(spec).join(' \\\n          ');
}

function spec({ name, short, help, values, optional }: Completed): string {
  const text = `[${help.replaceAll(/[[\]:\\]/g, '\\$&')}]`;
  const arguments_ = values.map(
    ({ label, kind }) => `:${label.replaceAll(/[[\]:\\]/g, '\\$&')}:${action(kind) || ' '}`,
  );
  const long = `*--${name}${values.length === 0 ? '' : optional ? '=-' : values.length === 1 ? '=' : ''}`;
  const rest = quoted(
    `${text}${optional ? arguments_.map((one) => `:${one}`).join('') : arguments_.join('')}`,
  );
  return [
    `${quoted(long)}${rest}`,
    ...(short === undefined ? [] : [`${quoted(`*-${short}${values.length === 1 ? '+' : ''}`)}${rest}`]),
  ].join(' \\\n          ');
}

function operandSpec(verb: Owner): string {
  const hasCommand = verb === 'run' || verb === 'exec';
  const before =
    subCommands(verb).length > 0
      ? ` \\\n          '*: :_virt_ts_unshare_${verb}'`
      : action(operandKind(verb)) === ''
        ? ''
        : ` \\\n          '${verb === 'test' ? '*' : '1'}:word:${action(operandKind(verb))}'`;
  return before + (hasCommand ? " \\\n          '*::command:_normal'" : '');
}

function action(kind: Kind): string {
  switch (kind.kind) {
    case 'words':
      return `(${kind.words.join(' ')})`;
    case 'files':
      return '_files';
    case 'folders':
      return '_files -/';
    case 'users':
      return '_users';
    case 'anything':
      return '';
    default:
      return `_virt_ts_unshare_${kind.kind}`;
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
