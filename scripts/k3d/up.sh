#!/usr/bin/env bash
# A hub and two workers in k3d, with KubeStellar, Kueue and our parts. Stopped half-way, it goes on where it was.
# Exit codes: 0 all is up, 1 something is missing or a step failed, 2 wrong use, 130 interrupted.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/k3d/versions.sh
source "$here/versions.sh"
# shellcheck source=scripts/k3d/names.sh
source "$here/names.sh"
# shellcheck source=scripts/k3d/preflight.sh
source "$here/preflight.sh"
# shellcheck source=scripts/k3d/steps.sh
source "$here/steps.sh"

STEPS=(
	"hub_cluster|k3d cluster $HUB"
	"worker_clusters|k3d clusters ${WORKERS[*]}"
	"ingress|ingress for KubeFlex"
	"kubestellar|KubeStellar $KUBESTELLAR_VERSION"
	"contexts|contexts wds1 and its1"
	"kueue|Kueue $KUEUE_VERSION"
	"join_workers|workers join the ITS"
	"our_parts|kueue-ks install"
)

check_only=false
case "$*" in
"") ;;
--check) check_only=true ;;
*)
	echo "usage: up.sh [--check]    --check only looks whether everything needed is on this machine" >&2
	exit "$WRONG_USE"
	;;
esac

missing=$(missing_tools)
if [[ -n $missing ]]; then
	printf '%s\n\nNothing was done.\n' "$missing" >&2
	exit "$FAILED"
fi
inotify_warnings >&2
if $check_only; then
	echo "Everything needed is here."
	exit 0
fi

mkdir -p "$STATE"
log=$STATE/up.log
: >"$log"
trap 'echo; echo "Interrupted. Run it again to go on." >&2; exit "$INTERRUPTED"' INT TERM

for number in "${!STEPS[@]}"; do
	IFS='|' read -r step title <<<"${STEPS[number]}"
	printf '[%d/%d] %s ... ' "$((number + 1))" "${#STEPS[@]}" "$title"
	began=$SECONDS
	printf '\n== %s\n' "$title" >>"$log"
	set +e
	(
		set -e
		"$step"
	) >>"$log" 2>&1
	code=$?
	set -e
	if ((code)); then
		echo "failed"
		printf '\nThe end of %s:\n' "$log" >&2
		tail -n 15 "$log" >&2
		printf '\nMend what it says, then run %s again: it goes on here.\n' "$0" >&2
		exit "$FAILED"
	fi
	printf 'done, %d s\n' "$((SECONDS - began))"
done

cat <<END

Everything is up. The contexts $HUB_CONTEXT, wds1, its1 ${WORKERS[*]/#/k3d-} are in
  export KUBECONFIG=$KUBECONFIG
Run jobs: $here/demo.sh    Take everything away: $here/down.sh
END
