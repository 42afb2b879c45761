# shellcheck shell=bash
# What must be on this machine. All that is missing is told at once, each with the command that brings it.

missing_tools() {
	local tool
	for tool in docker k3d helm kubectl kflex clusteradm; do
		command -v "$tool" >/dev/null || printf '%s is missing. Install it:\n  %s\n' "$tool" "$(remedy "$tool")"
	done
	command -v "$KUEUE_KS" >/dev/null || printf 'kueue-ks is missing. Install it:\n  make sync\n'
	if command -v docker >/dev/null && ! docker info >/dev/null 2>&1; then
		printf 'docker does not answer. Start it, and let this user use it:\n  %s\n' \
			"sudo systemctl start docker && sudo usermod -aG docker \$USER && newgrp docker"
	fi
}

remedy() {
	local raw=https://raw.githubusercontent.com
	case $1 in
	docker) echo "curl -fsSL https://get.docker.com | sudo sh" ;;
	k3d) echo "curl -fsSL $raw/k3d-io/k3d/main/install.sh | TAG=$K3D_VERSION bash" ;;
	helm) echo "curl -fsSL $raw/helm/helm/main/scripts/get-helm-3 | DESIRED_VERSION=$HELM_VERSION bash" ;;
	kubectl) echo "curl -fsSLO https://dl.k8s.io/release/$KUBECTL_VERSION/bin/linux/amd64/kubectl && sudo install kubectl /usr/local/bin" ;;
	kflex) echo "curl -fsSL $raw/kubestellar/kubeflex/$KFLEX_VERSION/scripts/install-kubeflex.sh | sudo bash -s -- --ensure-folder /usr/local/bin --strip-bin" ;;
	clusteradm) echo "curl -fsSL $raw/open-cluster-management-io/clusteradm/main/install.sh | bash -s -- $CLUSTERADM_VERSION" ;;
	esac
}

# Three clusters' kubelets watch many files; where too few are allowed, pods fail with "too many open files".
inotify_warnings() {
	local limits=${KUEUE_KS_INOTIFY:-/proc/sys/fs/inotify} limit name least
	for limit in max_user_watches:524288 max_user_instances:512; do
		name=${limit%:*} least=${limit#*:}
		if [[ -r $limits/$name && $(<"$limits/$name") -lt $least ]]; then
			printf 'fs.inotify.%s is below %s; should pods fail with "too many open files":\n  %s\n' \
				"$name" "$least" "sudo sysctl fs.inotify.$name=$least"
		fi
	done
}
