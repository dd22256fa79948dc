#!/usr/bin/env bash
# Holds what `overnight serve` answers against its own description, with requests that schemathesis makes
# up: valid ones, invalid ones, at the bounds; first as somebody who only reads, then with an owner's token,
# who is told to wait (429) when a second has too many changes. Usage: schemathesis.sh path/to/overnight
set -euo pipefail

VERSION=4.32.5
overnight=$(realpath "${1:?path to overnight}")
python=${XDG_CACHE_HOME:-$HOME/.cache}/overnight/schemathesis-$VERSION
if [ ! -x "$python/bin/schemathesis" ]; then
    python3 -m venv "$python"
    "$python/bin/pip" install --quiet "schemathesis==$VERSION"
fi

folder=$(mktemp -d)
server=
# It goes on writing until it has ended.
trap '[ -z "$server" ] || { kill "$server"; wait "$server" || true; }; rm -rf "$folder"' EXIT
cd "$folder"
mkdir experiments
cat > experiments/shapes.toml <<'TOML'
tags = ["tried"]
[data]
kind = "shapes"
count = 100
[model]
kind = "mlp"
[train]
steps = 20
[sweep]
seeds = [1, 2, 3]
TOML
"$overnight" queue experiments/shapes.toml
for run in runs/shapes/*/; do
    { echo 'step,epoch,time,elapsed,train/loss'; seq 1 3000 | sed 's/$/,1,1,1,0.5/'; echo '3001,1,1,1,nan'; } \
        > "$run/metrics.csv"
done
"$overnight" report
# Beside what it expects by itself: a key that came before with another body (422), a head that is too long (431).
cat > schemathesis.toml <<'TOML'
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 422, 429, 431, "5xx"]
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 415, 422, 428, 429, 431, "5xx"]
TOML
token=$("$overnight" serve --add-person tester --role owner)
printf '[server]\ncontrol = true\n' >> overnight.toml
"$overnight" serve --port 0 > address 2> log &
server=$!
for _ in $(seq 1200); do [ ! -s address ] || break; sleep 0.1; done
address=$(head -n 1 address)
for headers in "" "Authorization: Bearer $token"; do
    "$python/bin/schemathesis" run "${address%/}/api/v1/openapi.json" ${headers:+--header "$headers"} \
        --max-examples "${EXAMPLES:-100}" --seed "${SEED:-1}" --phases examples,coverage,fuzzing
done
