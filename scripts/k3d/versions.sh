# shellcheck shell=bash disable=SC2034
# Every version that up.sh installs or asks for. KubeStellar's chart brings its own OCM, KubeFlex and status add-on.
K3S_IMAGE=rancher/k3s:v1.36.1-k3s1 # Kubernetes 1.36: the first that serves MutatingAdmissionPolicy as v1
KUEUE_VERSION=v0.19.2              # as local_fleet/stack/controlplane/go.mod
KUBESTELLAR_VERSION=0.30.0         # as local_fleet/stack/kubestellar/go.mod
INGRESS_NGINX_VERSION=4.12.1       # the chart that KubeStellar 0.30's own demo uses

# What pre-flight tells to install.
K3D_VERSION=v5.8.3
HELM_VERSION=v3.16.4
KUBECTL_VERSION=v1.36.1
KFLEX_VERSION=v0.9.3
CLUSTERADM_VERSION=1.0.0 # KubeStellar asks for 1.0 and not yet 1.1
