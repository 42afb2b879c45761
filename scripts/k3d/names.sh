# shellcheck shell=bash disable=SC2034
# Names that up.sh, demo.sh and down.sh share. Everything of the fleet that lies on disk is in one folder, its
# kubeconfig too: nobody's own kubeconfig is touched.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
STATE=${KUEUE_KS_K3D_STATE:-$ROOT/.k3d}
KUEUE_KS=${KUEUE_KS:-$ROOT/.venv/bin/kueue-ks}
PYTHON=${KUEUE_KS_PYTHON:-$ROOT/.venv/bin/python}
export KUBECONFIG=$STATE/kubeconfig

HUB=kueue-ks-hub
WORKERS=(kueue-ks-w1 kueue-ks-w2) # also the names of their ManagedClusters
HUB_CONTEXT=k3d-$HUB              # k3d names contexts so
NETWORK=k3d-kueue-ks

# Exit codes, as kueue-ks has them.
FAILED=1
WRONG_USE=2
INTERRUPTED=130

cluster_exists() {
	k3d cluster list --no-headers | awk -v name="$1" '$1 == name { found = 1 } END { exit !found }'
}
