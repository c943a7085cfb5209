#!/usr/bin/env bash
# knex 3.3.0 beside pg 8.23.1: a connection URL with uselibpqcompat=true.
#
# pg tells people who use sslmode=require to write uselibpqcompat=true&sslmode=require, so that the word goes on meaning
# what libpq means by it: encrypted, certificate not checked. Knex hands its URL to no pg, though: it takes it apart with a
# pg-connection-string of its own (2.6.2), which does not know the parameter and says nothing. So the URL that connects
# with pg to a server with a certificate of its own fails with Knex, and verify-ca goes on to compare host names.
#
# Seen: pg {"rejectUnauthorized":false}, Knex {} (which is: checked in full), for the same URL in one process.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true }' >package.json
npm install --no-audit --no-fund --silent knex@3.3.0 pg@8.23.1
cat >look.cjs <<'JS'
const assert = require("node:assert");
const knex = require("knex");
const pg = require("pg");
const url = "postgresql://someone:secret@db.example.test/app?sslmode=require&uselibpqcompat=true";
const own = new pg.Client(url).connectionParameters.ssl;
const client = knex({ client: "pg", connection: url }).client;
const theirs = client.connectionSettings.ssl;
console.log(`pg ${require("pg/package.json").version}:   ${JSON.stringify(own)}`);
console.log(`knex ${require("knex/package.json").version}: ${JSON.stringify(theirs)}`);
assert.deepStrictEqual(own, { rejectUnauthorized: false });
assert.deepStrictEqual(theirs, {});
JS
node look.cjs
