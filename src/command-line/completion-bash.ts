import {
  completedOptions,
  type Kind,
  LISTS,
  operandKind,
  owners,
  PROGRAMS,
  subCommands,
} from './completion.ts';
import { verbs } from './pages.ts';

export function bashCompletion(): string {
  const withCommands = verbs().filter((verb) => subCommands(verb).length > 0);
  return `# Completion for bash, made from src/command-line when the program is built.
_virt_ts_unshare() {
    local cur=\${COMP_WORDS[COMP_CWORD]} option='' owner=server sub='' index word kind=''
    COMPREPLY=()
    # Bash splits --name=VALUE into three words.
    if [ "$cur" = '=' ]; then
        cur='' option=\${COMP_WORDS[COMP_CWORD - 1]}
    elif [ "$COMP_CWORD" -gt 2 ] && [ "\${COMP_WORDS[COMP_CWORD - 1]}" = '=' ]; then
        option=\${COMP_WORDS[COMP_CWORD - 2]}
    else
        option=\${COMP_WORDS[COMP_CWORD - 1]}
    fi
    for ((index = 1; index < COMP_CWORD; index++)); do
        word=\${COMP_WORDS[index]}
        case $owner:$word in
            test:--) owner=server ;;
            *:--)
                # The command of run and exec.
                COMPREPLY=($(compgen -c -- "$cur"))
                return
                ;;
            *:-*) ;;
            ${verbs()
              .map((verb) => `server:${verb}`)
              .join(' | ')} | server:help) [ "$index" -gt 1 ] || owner=$word ;;
            ${withCommands.map((verb) => `${verb}:*`).join(' | ')}) [ -n "$sub" ] || sub=$word ;;
        esac
    done
    case $owner:$option in
${optionCases()}
    esac
    if [ -z "$kind" ] && [[ $cur == -* ]]; then
        case $owner in
${owners()
  .map((owner) => `            ${owner}) kind='words ${optionWords(owner)}' ;;`)
  .join('\n')}
        esac
    fi
    if [ -z "$kind" ]; then
        case $owner:$sub in
            server:) [ "$COMP_CWORD" -gt 1 ] || kind='words ${verbs().join(' ')} help version' ;;
            help:) kind='words ${verbs().join(' ')}' ;;
${withCommands
  .map(
    (verb) =>
      `            ${verb}:) kind='words ${subCommands(verb)
        .map(({ name }) => name)
        .join(' ')}' ;;`,
  )
  .join('\n')}
${operandCases()}
        esac
    fi
    local IFS=$' \\t\\n'
    case $kind in
        'words '*) COMPREPLY=($(compgen -W "\${kind#words }" -- "$cur")) ;;
        files) compopt -o filenames 2>/dev/null; IFS=$'\\n'; COMPREPLY=($(compgen -f -- "$cur")) ;;
        folders) compopt -o filenames 2>/dev/null; IFS=$'\\n'; COMPREPLY=($(compgen -d -- "$cur")) ;;
        users) COMPREPLY=($(compgen -u -- "$cur")) ;;
${Object.entries(LISTS)
  .map(([name, list]) => `        ${name}) COMPREPLY=($(compgen -W "$(${list})" -- "$cur")) ;;`)
  .join('\n')}
    esac
    if [ "$kind" = places ]; then
        compopt -o filenames -o nospace 2>/dev/null
        IFS=$'\\n'
        # Behind the colon, as before it, these are the names of the host.
        COMPREPLY+=($(compgen -f -- "\${cur#:}"))
    fi
}
complete -F _virt_ts_unshare ${PROGRAMS.join(' ')}
`;
}

function optionWords(owner: Parameters<typeof completedOptions>[0]): string {
  return completedOptions(owner)
    .flatMap(({ name, short }) => [`--${name}`, ...(short === undefined ? [] : [`-${short}`])])
    .join(' ');
}

function shown(kind: Kind): string {
  return kind.kind === 'words' ? `words ${kind.words.join(' ')}` : kind.kind;
}

/** `owner:option` by what its first value is. Options with a free value complete nothing. */
function optionCases(): string {
  const groups = new Map<string, string[]>();
  for (const owner of owners()) {
    for (const { name, short, values } of completedOptions(owner)) {
      const [first] = values;
      if (first === undefined) continue;
      const key = shown(first.kind);
      const words = [`${owner}:--${name}`, ...(short === undefined ? [] : [`${owner}:-${short}`])];
      groups.set(key, [...(groups.get(key) ?? []), ...words]);
    }
  }
  return [...groups].map(([kind, words]) => `        ${words.join(' | ')}) kind='${kind}' ;;`).join('\n');
}

function operandCases(): string {
  return verbs()
    .flatMap((verb) => {
      const commands = subCommands(verb).map(({ name }) => name);
      return (commands.length > 0 ? commands : ['']).map((name) => ({
        call: `${verb}:${name}`,
        kind: shown(operandKind(verb, name)),
      }));
    })
    .filter(({ kind }) => kind !== 'anything')
    .map(({ call, kind }) => `            ${call}) kind=${kind} ;;`)
    .join('\n');
}
