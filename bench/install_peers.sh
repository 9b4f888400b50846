#!/usr/bin/env bash
# Installs the packages that `make bench` compares memscore with, each with its bench/peers/*.txt into an environment of
# its own in .bench/, because their pins clash with memscore's. Does nothing where those very requirements are there.
set -euo pipefail
cd "$(dirname "$0")/.."

python=.venv/bin/python
stub=bench/peers/tensorflow_stub.py

stop() {
    echo "peers: $*" >&2
    exit 1
}
wanted() { # peer: what the stamp of its environment says
    echo "# $PWD"
    cat "bench/peers/$1.txt"
    [ "$1" != thingsvision ] || cat $stub
}
packages_of() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }

[ -x $python ] || stop "make setup comes first"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

for peer in thingsvision ikpls; do
    env=.bench/$peer
    if wanted $peer | cmp -s - $env/installed.txt 2>/dev/null && $env/bin/python -c '' 2>/dev/null; then
        continue
    fi
    echo "Installing $(grep "^$peer==" bench/peers/$peer.txt) into $env"
    $python -m venv --clear --without-pip $env
    # The lists are whole: no dependencies, which for thingsvision would be another torch.
    $python -m pip --python $env/bin/python install --no-input --disable-pip-version-check --quiet --no-deps \
        -r bench/peers/$peer.txt 2>"$log" || {
        grep -v '^WARNING' "$log" >&2 || true
        stop "pip could not install $peer (above is what it said); another run starts again"
    }
    if [ $peer = thingsvision ]; then
        # Only now, so that pip did not take .venv's packages for this environment's, and remove them.
        packages_of "$PWD/$python" >"$(packages_of $env/bin/python)/memscore.pth"
        cp $stub "$(packages_of $env/bin/python)/tensorflow.py"
    fi
    wanted $peer >$env/installed.txt
done
