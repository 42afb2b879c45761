#!/usr/bin/env bash
# Deletes what up.sh made: its three clusters and its folder. What is not there is no failure.
# Exit codes: 0 nothing is left, 1 a cluster could not be deleted, 2 wrong use.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/k3d/names.sh
source "$here/names.sh"

if (($#)); then
	echo "usage: down.sh" >&2
	exit "$WRONG_USE"
fi
if ! command -v k3d >/dev/null; then
	echo "k3d is missing, so its clusters cannot be deleted. up.sh --check tells how to install it." >&2
	exit "$FAILED"
fi
for cluster in "${WORKERS[@]}" "$HUB"; do
	if cluster_exists "$cluster"; then
		k3d cluster delete "$cluster"
	else
		echo "$cluster is not there"
	fi
done
rm -rf "$STATE"
