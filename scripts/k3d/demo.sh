#!/usr/bin/env bash
# Both controllers and the workers' agents on this machine, jobs of examples/ through them, and all ended again.
# Usage: demo.sh [EXAMPLE...]: batch, parallel, sweep; batch and sweep when none is named. up.sh comes first.
# Exit codes: 0 every job finished, 1 one did not or a program ended, 2 wrong use, 130 interrupted.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/k3d/names.sh
source "$here/names.sh"

WITHIN=900s # for one job: images are pulled first

examples=("$@")
((${#examples[@]})) || examples=(batch sweep)
for example in "${examples[@]}"; do
	case $example in
	batch | parallel | sweep) ;;
	*)
		echo "usage: demo.sh [batch] [parallel] [sweep]    these nodes have no GPU" >&2
		exit "$WRONG_USE"
		;;
	esac
done
if [[ ! -e $KUBECONFIG ]]; then
	echo "There is no fleet here. Make one: $here/up.sh" >&2
	exit "$FAILED"
fi

programs=()
# shellcheck disable=SC2329  # the trap calls it
finish() {
	((${#programs[@]})) && kill "${programs[@]}" 2>/dev/null
	wait || true
}
trap finish EXIT
trap 'exit "$INTERRUPTED"' INT TERM

start() {
	local name=$1
	shift
	"$@" >"$STATE/$name.log" 2>&1 &
	programs+=($!)
}

start controllers "$KUEUE_KS" run --hub-context "$HUB_CONTEXT" --wds-context wds1 --its-context its1
for worker in "${WORKERS[@]}"; do
	start "agent-$worker" "$PYTHON" -m metrics_agent --context "k3d-$worker" --metrics-name "$worker"
done
echo "Controllers and agents run, their logs are in $STATE."

failed=0
jobs=()
for example in "${examples[@]}"; do
	namespace=team-a
	[[ $example == sweep ]] && namespace=team-b # as the manifest says
	job=$(kubectl --context "$HUB_CONTEXT" create -f "$ROOT/examples/$example-job.yaml" -o name)
	jobs+=("$namespace ${job#job.batch/}")
	echo "submitted $namespace/${job#job.batch/}"
done
for job in "${jobs[@]}"; do
	read -r namespace name <<<"$job"
	if ! kubectl --context "$HUB_CONTEXT" -n "$namespace" wait "job.batch/$name" --for=condition=Complete --timeout="$WITHIN"; then
		failed=$FAILED
	fi
	"$KUEUE_KS" explain "job/$name" -n "$namespace" --hub-context "$HUB_CONTEXT" --wds-context wds1 --its-context its1 || failed=$FAILED
done
for program in "${programs[@]}"; do
	if ! kill -0 "$program" 2>/dev/null; then
		echo "A controller or an agent has ended by itself." >&2
		failed=$FAILED
	fi
done
((failed)) && echo "Not every job finished; the logs in $STATE say more." >&2
exit "$failed"
