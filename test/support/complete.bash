# complete.bash COMPLETIONS WORDS: prints what bash completes behind `virt-ts-unshare WORDS`, one a line.
source "$1"
IFS=' ' read -ra COMP_WORDS <<<"virt-ts-unshare $2"
[ "${2% }" = "$2" ] || COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_virt_ts_unshare
printf '%s\n' "${COMPREPLY[@]}"
