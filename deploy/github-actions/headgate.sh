#!/usr/bin/env bash
# headgate.sh COMMAND [OPTION…]: a headgate command of the image $IMAGE as a step of GitHub Actions. Its report goes to
# the job's summary, its failure becomes an annotation, its exit code is the step's. $RUNNER_TEMP/files is /files in the
# container, for --out and --plan.
set -euo pipefail

# Names without values: a secret does not get into any process's arguments.
variables=()
while read -r name; do variables+=(--env "$name"); done < <(compgen -e | grep -E '^(HEADGATE|DATABASE|PG)' || true)

# The image's user, whoever that is, has to write there.
files=${RUNNER_TEMP:?}/files
install -d -m 777 "$files"
rm -f "$files/summary.md" "$files/failure"

code=0
# --network host: "localhost" is where the job's service containers publish their ports.
docker run --rm --network host --volume "$files:/files" \
  --env HEADGATE_LOG_FORMAT=text ${variables[@]+"${variables[@]}"} \
  --env HEADGATE_SUMMARY=/files/summary.md --env HEADGATE_TERMINATION_LOG=/files/failure \
  --entrypoint headgate "${IMAGE:?}" "$@" || code=$?

if [[ -e $files/summary.md ]]; then cat "$files/summary.md" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"; fi

why="see the log"
if [[ -e $files/failure ]]; then why=$(<"$files/failure"); fi
why=${why//%/%25}
why=${why//$'\n'/%0A}
case $code in
  0) ;;
  3) echo "::notice title=headgate $1::migrations are pending" ;;
  *) echo "::error title=headgate $1::$why" ;;
esac
exit "$code"
