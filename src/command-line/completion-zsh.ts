import { type Completed, type CompletedVerb, completedCommandLine, type Kind, LISTS } from './completion.ts';

const { programs, server, verbs } = completedCommandLine();

export function zshCompletion(): string {
  return `#compdef ${programs.join(' ')}
# Completion for zsh, made from src/command-line when the program is built.

${Object.entries(LISTS).map(listFunction).join('\n')}
_virt_ts_unshare_verbs() {
  local -a verbs
  verbs=(
${verbs.map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}`).join('\n')}
    'help:show the options of a verb'
    'version:show the version'
  )
  _describe verb verbs
}

${verbs
  .filter(({ commands }) => commands.length > 0)
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
${verbs
  .map(
    (verb) =>
      `      ${verb.name})\n        _arguments -s -S : ${specs(verb.options)}${operandSpec(verb)}\n        ;;`,
  )
  .join('\n')}
      help) _virt_ts_unshare_verbs ;;
    esac
    return
  fi
  _arguments -s -S : ${specs(server)} \\
    '1:verb:_virt_ts_unshare_verbs'
}

_virt_ts_unshare "$@"
`;
}

function listFunction([name, list]: readonly [string, string]): string {
  // A colon of a name is a part of it.
  const suffix = name === 'places' ? " -S ''" : '';
  return `_virt_ts_unshare_${name}() {
  local -a found
  found=(\${(f)"$(${list})"})
  compadd${suffix} -a found${name === 'places' ? '\n  _files' : ''}
}
`;
}

function commandFunction({ name: verb, commands }: CompletedVerb): string {
  const cases = commands
    .map(({ name, operands }) => ({ name, action: action(operands) }))
    .filter(({ action }) => action !== '')
    .map(({ name, action }) => `    ${name}) ${action} ;;`);
  return `_virt_ts_unshare_${verb}() {
  local -a commands
  commands=(
${commands.map(({ name, help }) => `    ${quoted(`${name}:${help}`)}`).join('\n')}
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

function specs(options: readonly Completed[]): string {
  return options.map(spec).join(' \\\n          ');
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

function operandSpec({ name, commands, operands }: CompletedVerb): string {
  const hasCommand = name === 'run' || name === 'exec';
  const kind = action(operands);
  const before =
    commands.length > 0
      ? ` \\\n          '*: :_virt_ts_unshare_${name}'`
      : kind === ''
        ? ''
        : ` \\\n          '${hasCommand ? '1' : '*'}:word:${kind}'`;
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
