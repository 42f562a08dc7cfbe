# bash's completion of cnnctl: commands and options, as the program itself tells them; files for the rest. It asks no server.
_cnnctl()
{
        local word=${COMP_WORDS[COMP_CWORD]} command= words= i
        for ((i = 1; i < COMP_CWORD; i++)); do
                case ${COMP_WORDS[i]} in
                --url | --token) ((i++)) ;;
                *[!a-z]*) ;; # an option, or a piece of an address, which bash cuts at colons
                *) command=${COMP_WORDS[i]}; break ;;
                esac
        done
        COMPREPLY=()
        if [[ $word == -* ]]; then
                words=$("$1" help $command 2>/dev/null | sed -n 's/^  \(--[a-z-]*\).*/\1/p')
        elif [[ -z $command || ($command == help && $i -eq COMP_CWORD-1) ]]; then
                words=$("$1" help 2>/dev/null | sed -n '/^Commands/,/^$/s/^  \([a-z]*\) .*/\1/p')
        elif [[ $command == delete && $i -eq COMP_CWORD-1 ]]; then
                words="model dataset job"
        fi
        [[ -z $words ]] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o default -F _cnnctl cnnctl
