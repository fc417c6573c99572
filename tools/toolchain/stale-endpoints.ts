/**
 * Removes what Cilium has recorded of pods under an address that no node has any more. A node that starts again may have
 * another address than before; its agent then takes the records of its own pods for those of another node, leaves them as they
 * are, and every other pod is kept from the new addresses: nobody is let through to who is not known.
 */
export const removeStaleEndpoints = `#!/bin/bash
set -euo pipefail
export KUBECONFIG=/etc/kubernetes/admin.conf
kubectl get customresourcedefinitions ciliumendpoints.cilium.io --output=name >/dev/null 2>&1 || exit 0
nodes=$(kubectl get nodes --output=json | jq '[.items[].status.addresses[].address]')
stale='.items[] | select(.status.networking.node | . != null and (IN($nodes[]) | not)) | [.metadata.namespace, .metadata.name] | @tsv'
kubectl get ciliumendpoints.cilium.io --all-namespaces --output=json | jq --raw-output --argjson nodes "$nodes" "$stale" |
  while IFS=$'\\t' read -r namespace name; do
    kubectl delete ciliumendpoints.cilium.io "$name" --namespace="$namespace" --ignore-not-found --wait=false </dev/null
  done
`;
