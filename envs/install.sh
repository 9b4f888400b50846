#!/usr/bin/env bash
# Installs envs/lock.txt into .venv (`make setup`). Does nothing when that very lock is already there.
set -euo pipefail
cd "$(dirname "$0")/.."

lock=envs/lock.txt
venv=.venv
stamp=$venv/installed.txt   # the lock that was installed, and the folder it was installed in
pending=$venv/pending.txt   # what becomes the stamp
unpacking=$venv/unpacking   # lies there while pip unpacks, and after a run that was cut off then

stop() {
    echo "setup: $*" >&2
    exit 1
}
wanted() {
    echo "# $PWD"
    cat $lock
}
is_311() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; }

if wanted | cmp -s - $stamp 2>/dev/null && is_311 $venv/bin/python; then
    exit 0
fi

# Made anew when it was cut off half-way, lost its Python, or was moved (its commands name the old folder).
usable() {
    is_311 $venv/bin/python && $venv/bin/python -c 'import pip' 2>/dev/null && [ ! -e $unpacking ] &&
        { [ ! -e $stamp ] || [ "$(head -n 1 $stamp)" = "# $PWD" ]; }
}
if ! usable; then
    base=
    for python in ${PYTHON:-python3.11 python3}; do
        if is_311 "$python"; then
            # Of an active virtual environment (it may be this one) take the Python below it.
            base=$("$python" -c 'import sys; print(sys._base_executable)')
            break
        fi
    done
    [ -n "$base" ] ||
        stop "Python 3.11 is needed, and none was found as ${PYTHON:-python3.11 or python3};" \
            "name yours: make setup PYTHON=/path/to/python3.11"
    "$base" -c 'import ensurepip, venv' 2>/dev/null ||
        stop "$base cannot make virtual environments; on Debian and Ubuntu: apt install python3.11-venv"
    "$base" -m venv --clear $venv
fi
rm -f $stamp
wanted >$pending

total=$(grep -c == $lock)
echo "Installing $total packages into $venv: some minutes and 7 GB the first time"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# One line that counts on a terminal, a line now and then in a log.
clear=
[ -t 1 ] && clear=$'\r\e[K'
progress() {
    local count=0 verb rest
    while read -r verb rest; do
        case $verb in
            Collecting | Requirement) count=$((count + 1)) ;;
            Downloading) [ -n "$clear" ] || continue ;;
            Installing) break ;;
            *) continue ;;
        esac
        rest=${rest#already satisfied: }
        if [ -n "$clear" ]; then
            printf '%s  %d of %d  %.60s' "$clear" $count "$total" "${rest% (from *}"
        elif [ $((count % 50)) = 0 ]; then
            echo "  $count of $total"
        fi
    done
    printf '%s' "$clear"
    if [ "$verb" = Installing ]; then
        touch $unpacking
        echo "  all fetched, unpacking (a minute or two)"
        cat >/dev/null
    fi
}
$venv/bin/python -m pip install --no-input --disable-pip-version-check --progress-bar off -r $lock 2>"$log" | progress || {
    grep -v '^WARNING' "$log" >&2 || true
    stop "pip could not install the environment (above is what it said); 'make setup' starts again"
}
rm -f $unpacking
mv $pending $stamp
echo "  done"
