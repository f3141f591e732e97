# Completion for bash. Written by tools/shell_files.py.
_pg_pool_exporter() {
    local command=run word flags flag='' value=${COMP_WORDS[COMP_CWORD]}
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in
        run|once|check-config|explain|doctor|advise|terminate-idle|demo|metrics) command=$word ;;
        esac
    done
    # Bash splits words at =, so that a value stands alone after its flag.
    if [[ $value == = ]]; then
        flag=${COMP_WORDS[COMP_CWORD - 1]} value=''
    elif [[ ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then
        flag=${COMP_WORDS[COMP_CWORD - 2]}
    elif [[ ${COMP_WORDS[COMP_CWORD - 1]} == --* && $value != -* ]]; then
        flag=${COMP_WORDS[COMP_CWORD - 1]}
    fi
    if [[ -n $flag ]]; then
        case $flag in
        --config.file) COMPREPLY=($(compgen -f -- "$value")) ;;
        --socket-dir) COMPREPLY=($(compgen -d -- "$value")) ;;
        --web.config.file) COMPREPLY=($(compgen -f -- "$value")) ;;
        --log.level) COMPREPLY=($(compgen -W 'debug info warning error' -- "$value")) ;;
        --log.format) COMPREPLY=($(compgen -W 'logfmt json' -- "$value")) ;;
        --scenario) COMPREPLY=($(compgen -W 'healthy leak trouble' -- "$value")) ;;
        esac
        [[ ${#COMPREPLY[@]} -eq 0 ]] || return
    fi
    if [[ $value != -* ]]; then
        COMPREPLY=($(compgen -W 'run once check-config explain doctor advise terminate-idle demo metrics' -- "$value"))
    else
        case $command in
        run) flags='--config.file= --socket-dir= --shard= --web.listen-address= --web.systemd-socket --web.telemetry-path= --web.runbook-url= --web.dashboard-url= --web.config.file= --web.enable-lifecycle --log.level= --log.format= --help --version' ;;
        once) flags='--config.file= --socket-dir= --shard= --log.level= --log.format= --help --version' ;;
        check-config) flags='--config.file= --socket-dir= --shard= --web.listen-address= --web.systemd-socket --web.telemetry-path= --web.runbook-url= --web.dashboard-url= --web.config.file= --web.enable-lifecycle --log.level= --log.format= --probe --help --version' ;;
        explain) flags='--config.file= --page= --help --version' ;;
        doctor) flags='--config.file= --socket-dir= --shard= --web.runbook-url= --url= --for= --json --help --version' ;;
        advise) flags='--url= --json --help --version' ;;
        terminate-idle) flags='--config.file= --server= --older-than= --application= --pid= --yes --help --version' ;;
        demo) flags='--web.listen-address= --for= --scenario= --help --version' ;;
        metrics) flags='--help --version' ;;
        esac
        COMPREPLY=($(compgen -W "$flags" -- "$value"))
    fi
}
complete -F _pg_pool_exporter pg-pool-exporter
