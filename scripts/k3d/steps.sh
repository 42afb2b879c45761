# shellcheck shell=bash
# The steps of up.sh. Each looks at the clusters first and may be repeated: what is there stays as it is.
# Every one runs in a shell of its own with errexit, so its first failing command is the step's failure.

PATIENCE=60 # attempts of what has no `kubectl wait`
PAUSE=5     # seconds between two of them

until_it_works() {
	local attempt
	for ((attempt = 1; attempt <= PATIENCE; attempt++)); do
		if "$@"; then return 0; fi
		sleep "$PAUSE"
	done
	echo "gave up after $PATIENCE attempts: $*"
	return 1
}

hub() { kubectl --context "$HUB_CONTEXT" "$@"; }
its() { kubectl --context its1 "$@"; }

# One network: the workers reach the ITS by the name of the hub's container.
create_cluster() {
	local name=$1
	shift
	if cluster_exists "$name"; then
		k3d cluster start "$name" # nothing when it runs
		k3d kubeconfig merge "$name" --kubeconfig-merge-default
	else
		k3d cluster create "$name" --image "$K3S_IMAGE" --network "$NETWORK" "$@"
	fi
	kubectl --context "k3d-$name" wait --for=condition=Ready node --all --timeout=300s
}

# KubeFlex publishes its control planes on port 9443 by their names, which needs an ingress that passes TLS on.
hub_cluster() {
	create_cluster "$HUB" -p 9443:443@loadbalancer --k3s-arg "--disable=traefik@server:*"
}

worker_clusters() {
	local worker
	for worker in "${WORKERS[@]}"; do
		create_cluster "$worker"
		# The flavor "standard" of config/samples looks for this label.
		kubectl --context "k3d-$worker" label node --all node-class=standard --overwrite
	done
}

ingress() {
	helm --kube-context "$HUB_CONTEXT" upgrade --install ingress-nginx ingress-nginx \
		--repo https://kubernetes.github.io/ingress-nginx --version "$INGRESS_NGINX_VERSION" \
		--namespace ingress-nginx --create-namespace \
		--set "controller.extraArgs.enable-ssl-passthrough=" --wait --timeout 10m
}

# The WDS is of KubeFlex's type k8s, never host: a host-type WDS is the hub itself (docs/design.md, section 1).
kubestellar() {
	helm --kube-context "$HUB_CONTEXT" upgrade --install ks-core \
		oci://ghcr.io/kubestellar/kubestellar/core-chart --version "$KUBESTELLAR_VERSION" \
		--set-json='ITSes=[{"name":"its1"}]' --set-json='WDSes=[{"name":"wds1"}]' \
		--set "kubeflex-operator.hostContainer=k3d-$HUB-server-0" --timeout 20m
	local hook
	for hook in its-hub-init install-status-addon; do
		hub wait controlplane.tenancy.kflex.kubestellar.org/its1 \
			--for "jsonpath={.status.postCreateHooks.$hook}=true" --timeout 20m
		hub wait -n its1-system "job.batch/$hook" --for condition=Complete --timeout 20m
	done
	hub wait -n its1-system job.batch/update-cluster-info --for condition=Complete --timeout 20m
	until_it_works hub wait controlplane.tenancy.kflex.kubestellar.org/wds1 --for condition=Ready --timeout 60s
}

# kflex keeps in the kubeconfig which cluster hosts, and switches the current context: set right before and after.
contexts() {
	kubectl config use-context "$HUB_CONTEXT"
	kflex ctx --set-current-for-hosting
	kflex ctx --overwrite-existing-context wds1
	kflex ctx --overwrite-existing-context its1
	kubectl config use-context "$HUB_CONTEXT"
}

# FinishOrphanedWorkloads would free a deleted job's quota while its pods still end; WaitForPodsReady is for jobs
# whose pods are here. Kueue takes gates from its configuration or from this flag, not from both.
kueue() {
	local gates=--feature-gates=FinishOrphanedWorkloads=false,DisableWaitForPodsReady=true
	local arguments
	arguments=$(hub -n kueue-system get deployment kueue-controller-manager --ignore-not-found \
		-o "jsonpath={.spec.template.spec.containers[0].args}")
	if [[ $arguments != *"$gates"* ]]; then
		hub apply --server-side --force-conflicts \
			-f "https://github.com/kubernetes-sigs/kueue/releases/download/$KUEUE_VERSION/manifests.yaml"
		hub -n kueue-system patch deployment kueue-controller-manager --type=json \
			-p "[{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/0/args/-\",\"value\":\"$gates\"}]"
	fi
	hub -n kueue-system rollout status deployment/kueue-controller-manager --timeout=10m
}

join_workers() {
	local worker line command
	for worker in "${WORKERS[@]}"; do
		if [[ $(its get managedcluster "$worker" --ignore-not-found -o "jsonpath={.spec.hubAcceptsClient}") != true ]]; then
			line=$(clusteradm --context its1 get token | grep '^clusteradm join')
			read -r -a command <<<"${line/<cluster_name>/$worker}"
			"${command[@]}" --context "k3d-$worker" --singleton --force-internal-endpoint-lookup >/dev/null # it shows a token
			until_it_works clusteradm --context its1 accept --clusters "$worker"
		fi
		its wait "managedcluster/$worker" --for=condition=ManagedClusterConditionAvailable --timeout=10m
		its label managedcluster "$worker" "name=$worker" --overwrite
		# README, "Use it with your own clusters": how long a worker may keep what it was told to drop.
		kubectl --context "k3d-$worker" patch klusterlet klusterlet --type=merge \
			-p '{"spec":{"workConfiguration":{"appliedManifestWorkEvictionGracePeriod":"2m"}}}'
	done
	until_it_works its get namespace customization-properties # made by the transport controller: it runs
}

our_parts() {
	local contexts=() worker
	for worker in "${WORKERS[@]}"; do contexts+=(--worker-context "k3d-$worker"); done
	"$KUEUE_KS" install --samples --hub-context "$HUB_CONTEXT" --wds-context wds1 --its-context its1 "${contexts[@]}"
}
