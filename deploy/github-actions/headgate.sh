#!/usr/bin/env bash
# headgate.sh COMMAND [OPTION…]: a headgate command of the image $IMAGE as a step of GitHub Actions. What it prints goes
# to the job summary, its failure becomes an annotation, its exit code is the step's.
set -euo pipefail

# Names without values: a secret does not get into any process's arguments.
variables=()
while read -r name; do variables+=(--env "$name"); done < <(compgen -e | grep -E '^(HEADGATE|DATABASE|PG)' || true)

work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

code=0
# --network host: "localhost" is where the job's service containers publish their ports.
{
  docker run --rm --network host ${variables[@]+"${variables[@]}"} --entrypoint headgate "${IMAGE:?}" "$@" \
    2>&1 >"$work/out" | tee "$work/log" >&2
} || code=$?
cat "$work/out"

{
  echo "### headgate $1: exit $code"
  if [[ -s $work/out ]]; then
    echo '```'
    cat "$work/out"
    echo '```'
  fi
} >>"${GITHUB_STEP_SUMMARY:-/dev/null}"

# The last error line; "msg" is the last field of headgate's lines.
why=$(sed -n 's/.*"level":"error".*"msg":"\(.*\)"}$/\1/p' "$work/log" | tail -n1)
why=${why//\\\"/\"}
why=${why//%/%25}
case $code in
  0) ;;
  3) echo "::notice title=headgate $1::migrations are pending" ;;
  *) echo "::error title=headgate $1, exit $code::${why:-see the log}" ;;
esac
exit "$code"
