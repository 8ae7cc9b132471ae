# shellcheck shell=bash disable=SC2053
# Completion of sixgatectl(8) for bash.

# Words that may follow those so far; none for what only the operator can know.
_sixgatectl_words() {
    case $1 in
        "") echo "net doctor status top who flows kill-flow pools log-level ban unban bans reload reload-lists set drain undrain" ;;
        log-level) echo "error warning info debug" ;;
        net) echo "plan apply status teardown" ;;
        set) echo weight ;;
        drain) echo "backend listener gateway" ;;
        undrain) echo "backend listener" ;;
    esac
}

_sixgatectl() {
    local cur prev words cword path="" word skip=0 options
    options="--config --json --run-directory --socket --no-connect --for --reason --backend --protocol --at --binary"
    options+=" --client --listener --older-than --younger-than --limit --follow"
    options+=" --interval --deadline --help --version"
    # Options that the next word belongs to.
    local with_value="--@(config|run-directory|socket|for|reason|backend|protocol|at|binary|client|listener|older-than|younger-than|limit|interval|deadline)"

    _init_completion -n : || return
    case $prev in
        --config | --socket | --binary) _filedir ;;
        --run-directory) _filedir -d ;;
        --protocol) mapfile -t COMPREPLY < <(compgen -W "tcp udp" -- "$cur") ;;
    esac
    [[ $prev == $with_value ]] && return
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
        return
    fi
    for word in "${words[@]:1:cword-1}"; do
        if ((skip)); then
            skip=0
        elif [[ $word == $with_value ]]; then
            skip=1
        elif [[ $word != -* ]]; then
            path+=${path:+ }$word
        fi
    done
    mapfile -t COMPREPLY < <(compgen -W "$(_sixgatectl_words "$path")" -- "$cur")
} &&
    complete -F _sixgatectl sixgatectl
