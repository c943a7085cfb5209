#!/usr/bin/env bash
# Runs the migrate task on ECS, waits for it, shows its log, and exits with headgate's own exit code: a CI step between
# "push the image" and "update the service".
#
#   CLUSTER=production TASK_DEFINITION=api-migrate:42 SUBNETS=subnet-1,subnet-2 SECURITY_GROUPS=sg-1 \
#     LOG_GROUP=/ecs/api-migrate ./migrate.sh
#
# Its own exit codes: 64 a setting is missing; 69 ECS did not run the container (capacity, image, secret); 124 the task
# did not end within TIMEOUT seconds and was stopped, whereupon headgate rolls back the file that is running.
set -euo pipefail

container=${CONTAINER:-migrate}
timeout=${TIMEOUT:-1800}
poll=${POLL:-5}
ours="containers[?name=='$container']"

fail() { # fail CODE TEXT
  if [[ -n ${GITHUB_ACTIONS-} ]]; then
    echo "::error title=migrate task, exit $1::${2//%/%25}"
  else
    echo "migrate.sh: $2 (exit $1)" >&2
  fi
  exit "$1"
}

for name in CLUSTER TASK_DEFINITION SUBNETS SECURITY_GROUPS; do
  [[ -n ${!name-} ]] || fail 64 "$name is not set"
done

# A cancelled CI job must not leave a migration behind that nobody watches.
cancelled=
trap 'cancelled=1' INT TERM

# RunTask answers 200 also when it has placed nothing; the reason is in "failures".
answer=$(aws ecs run-task --cluster "$CLUSTER" --task-definition "$TASK_DEFINITION" --launch-type FARGATE \
  --started-by headgate-migrate --network-configuration \
  "awsvpcConfiguration={subnets=[$SUBNETS],securityGroups=[$SECURITY_GROUPS],assignPublicIp=DISABLED}" \
  --query '[tasks[0].taskArn, failures[0].reason]' --output text) || fail 69 'aws ecs run-task failed, see above'
IFS=$'\t' read -r task reason <<<"$answer"
[[ $task != None ]] || fail 69 "ECS placed no task: $reason"
echo "started $task"

stop_task() {
  aws ecs stop-task --cluster "$CLUSTER" --task "$task" --reason "$1" --query task.desiredStatus --output text || true
}

# Not `aws ecs wait tasks-stopped`: it gives up after 10 minutes, and says nothing of the exit code.
deadline=$((SECONDS + timeout)) stopped_by_us=
while :; do
  [[ -z $cancelled ]] || {
    stop_task 'the CI job was ended'
    exit 143
  }
  # One failed call is not the end of the task: ask again until the deadline.
  answer=$(aws ecs describe-tasks --cluster "$CLUSTER" --tasks "$task" --output text --query \
    "tasks[0].[lastStatus, $ours.exitCode | [0], $ours.reason | [0], stoppedReason]") || answer=UNKNOWN
  IFS=$'\t' read -r status code reason <<<"$answer" # the last one has both reasons
  [[ $status != STOPPED ]] || break
  if ((SECONDS >= deadline)); then
    [[ -z $stopped_by_us ]] || fail 124 "the task was told to stop and has not; look at $task"
    stop_task "not done after $timeout s"
    stopped_by_us=1
    deadline=$((SECONDS + ${STOP_TIMEOUT:-150})) # SIGTERM, stopTimeout (at most 120 s on Fargate), SIGKILL
  fi
  [[ -n $cancelled ]] || {
    sleep "$poll" >/dev/null 2>&1 & # with our output, a CI step would wait for its end
    wait $! || true                 # unlike sleep itself, lets a signal in
  }
done

log=
if [[ -n ${LOG_GROUP-} ]]; then
  log=$(aws logs get-log-events --log-group-name "$LOG_GROUP" --limit 200 \
    --log-stream-name "${LOG_PREFIX:-headgate}/$container/${task##*/}" \
    --query 'events[].[message]' --output text) || log='(no log)'
  printf '%s\n' "$log"
fi

[[ -z $stopped_by_us ]] || fail 124 "not done after $timeout s, and stopped"
[[ $code != None ]] || fail 69 "the container did not start: $reason"
((code == 0)) || {
  # The last error line; "msg" is the last field of headgate's lines.
  why=$(sed -n 's/.*"level":"error".*"msg":"\(.*\)"}$/\1/p' <<<"$log" | tail -n1)
  why=${why//\\\"/\"}
  fail "$code" "${why:-$reason}"
}
echo 'migrated'
